-- The number of jobs for each queue and state.
SELECT queue, state, count(*) AS jobs FROM elihu.job GROUP BY queue, state
