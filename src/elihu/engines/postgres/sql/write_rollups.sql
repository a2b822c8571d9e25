-- Write a writer's counts of minutes, $1 as JSON. Each row has all that the writer counted in the minute and replaces
-- its earlier row, so that a repeated call counts nothing twice.
INSERT INTO elihu.rollup (period, at, queue, task, outcome, writer,
  jobs, run_ms, wait_ms, run_0, run_1, run_2, run_3, run_4, run_5, run_6, run_7, run_8, run_9, run_10,
  run_11, run_12, run_13, wait_0, wait_1, wait_2, wait_3, wait_4, wait_5, wait_6, wait_7, wait_8, wait_9,
  wait_10, wait_11, wait_12, wait_13)
SELECT 60, at, queue, task, outcome, writer,
  jobs, run_ms, wait_ms, run_0, run_1, run_2, run_3, run_4, run_5, run_6, run_7, run_8, run_9, run_10,
  run_11, run_12, run_13, wait_0, wait_1, wait_2, wait_3, wait_4, wait_5, wait_6, wait_7, wait_8, wait_9,
  wait_10, wait_11, wait_12, wait_13
FROM json_populate_recordset(NULL::elihu.rollup, $1::text::json)
ON CONFLICT (period, at, queue, task, outcome, writer) DO UPDATE SET
  jobs = excluded.jobs, run_ms = excluded.run_ms, wait_ms = excluded.wait_ms, run_0 = excluded.run_0,
  run_1 = excluded.run_1, run_2 = excluded.run_2, run_3 = excluded.run_3, run_4 = excluded.run_4,
  run_5 = excluded.run_5, run_6 = excluded.run_6, run_7 = excluded.run_7, run_8 = excluded.run_8,
  run_9 = excluded.run_9, run_10 = excluded.run_10, run_11 = excluded.run_11, run_12 = excluded.run_12,
  run_13 = excluded.run_13, wait_0 = excluded.wait_0, wait_1 = excluded.wait_1, wait_2 = excluded.wait_2,
  wait_3 = excluded.wait_3, wait_4 = excluded.wait_4, wait_5 = excluded.wait_5, wait_6 = excluded.wait_6,
  wait_7 = excluded.wait_7, wait_8 = excluded.wait_8, wait_9 = excluded.wait_9, wait_10 = excluded.wait_10,
  wait_11 = excluded.wait_11, wait_12 = excluded.wait_12, wait_13 = excluded.wait_13
