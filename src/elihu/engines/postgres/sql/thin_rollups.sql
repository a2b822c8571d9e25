-- Replace the minutes of the oldest hour that ended before now - $1 seconds by one row each hour, queue, task and outcome.
-- Returns the number of minutes' rows removed. A late minute is added to its hour.
WITH oldest AS (
  SELECT date_trunc('hour', min(at), 'UTC') AS hour FROM elihu.rollup WHERE period = 60
), gone AS (
  DELETE FROM elihu.rollup USING oldest
  WHERE period = 60 AND at >= hour AND at < hour + interval '1 hour'
    AND hour < now() - make_interval(secs => $1::float8) - interval '1 hour'
  RETURNING rollup.*
), hours AS (
  INSERT INTO elihu.rollup (period, at, queue, task, outcome, writer,
    jobs, run_ms, wait_ms, run_0, run_1, run_2, run_3, run_4, run_5, run_6, run_7, run_8, run_9, run_10,
    run_11, run_12, run_13, wait_0, wait_1, wait_2, wait_3, wait_4, wait_5, wait_6, wait_7, wait_8, wait_9,
    wait_10, wait_11, wait_12, wait_13)
  SELECT 3600, date_trunc('hour', at, 'UTC'), queue, task, outcome, '00000000-0000-0000-0000-000000000000'::uuid,
    sum(jobs), sum(run_ms), sum(wait_ms), sum(run_0), sum(run_1), sum(run_2), sum(run_3), sum(run_4),
    sum(run_5), sum(run_6), sum(run_7), sum(run_8), sum(run_9), sum(run_10), sum(run_11), sum(run_12),
    sum(run_13), sum(wait_0), sum(wait_1), sum(wait_2), sum(wait_3), sum(wait_4), sum(wait_5), sum(wait_6),
    sum(wait_7), sum(wait_8), sum(wait_9), sum(wait_10), sum(wait_11), sum(wait_12), sum(wait_13)
  FROM gone GROUP BY 2, 3, 4, 5
  ON CONFLICT (period, at, queue, task, outcome, writer) DO UPDATE SET
    jobs = rollup.jobs + excluded.jobs, run_ms = rollup.run_ms + excluded.run_ms,
    wait_ms = rollup.wait_ms + excluded.wait_ms, run_0 = rollup.run_0 + excluded.run_0,
    run_1 = rollup.run_1 + excluded.run_1, run_2 = rollup.run_2 + excluded.run_2,
    run_3 = rollup.run_3 + excluded.run_3, run_4 = rollup.run_4 + excluded.run_4,
    run_5 = rollup.run_5 + excluded.run_5, run_6 = rollup.run_6 + excluded.run_6,
    run_7 = rollup.run_7 + excluded.run_7, run_8 = rollup.run_8 + excluded.run_8,
    run_9 = rollup.run_9 + excluded.run_9, run_10 = rollup.run_10 + excluded.run_10,
    run_11 = rollup.run_11 + excluded.run_11, run_12 = rollup.run_12 + excluded.run_12,
    run_13 = rollup.run_13 + excluded.run_13, wait_0 = rollup.wait_0 + excluded.wait_0,
    wait_1 = rollup.wait_1 + excluded.wait_1, wait_2 = rollup.wait_2 + excluded.wait_2,
    wait_3 = rollup.wait_3 + excluded.wait_3, wait_4 = rollup.wait_4 + excluded.wait_4,
    wait_5 = rollup.wait_5 + excluded.wait_5, wait_6 = rollup.wait_6 + excluded.wait_6,
    wait_7 = rollup.wait_7 + excluded.wait_7, wait_8 = rollup.wait_8 + excluded.wait_8,
    wait_9 = rollup.wait_9 + excluded.wait_9, wait_10 = rollup.wait_10 + excluded.wait_10,
    wait_11 = rollup.wait_11 + excluded.wait_11, wait_12 = rollup.wait_12 + excluded.wait_12,
    wait_13 = rollup.wait_13 + excluded.wait_13
)
SELECT count(*) AS removed FROM gone
