-- The number of jobs by queue and state.
SELECT queue, state, count(*) FROM job GROUP BY queue, state
