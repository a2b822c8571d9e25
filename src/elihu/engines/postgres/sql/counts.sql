-- Jobs by queue and state.
SELECT queue, state, count(*) AS jobs FROM elihu.job GROUP BY queue, state
