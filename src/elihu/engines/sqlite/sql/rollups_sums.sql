-- Counts in steps of seconds, by a column and outcome, without the histograms; of one queue and task where these are given.
-- Hours take part where the minutes are gone.
SELECT CAST(at / :step AS INTEGER) * :step AS at, {key} AS key, outcome,
  sum(jobs) AS jobs, sum(run_ms) AS run_ms, sum(wait_ms) AS wait_ms
FROM rollup
WHERE period IN (60, 3600) AND at >= :since AND at < :until
  AND (:queue IS NULL OR queue = :queue) AND (:task IS NULL OR task = :task)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
LIMIT :limit
