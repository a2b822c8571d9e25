-- Write a writer's counts of minutes. Each row has all that the writer counted in the minute and
-- replaces its earlier row, so that a repeated call counts nothing twice.
INSERT OR REPLACE INTO rollup (period, at, queue, task, outcome, writer,
  jobs, run_ms, wait_ms, run_0, run_1, run_2, run_3, run_4, run_5, run_6, run_7, run_8, run_9, run_10,
  run_11, run_12, run_13, wait_0, wait_1, wait_2, wait_3, wait_4, wait_5, wait_6, wait_7, wait_8, wait_9,
  wait_10, wait_11, wait_12, wait_13)
SELECT 60, value ->> 'at', value ->> 'queue', value ->> 'task', value ->> 'outcome', value ->> 'writer',
  value ->> 'jobs', value ->> 'run_ms', value ->> 'wait_ms', value ->> 'run_0', value ->> 'run_1',
  value ->> 'run_2', value ->> 'run_3', value ->> 'run_4', value ->> 'run_5', value ->> 'run_6',
  value ->> 'run_7', value ->> 'run_8', value ->> 'run_9', value ->> 'run_10', value ->> 'run_11',
  value ->> 'run_12', value ->> 'run_13', value ->> 'wait_0', value ->> 'wait_1', value ->> 'wait_2',
  value ->> 'wait_3', value ->> 'wait_4', value ->> 'wait_5', value ->> 'wait_6', value ->> 'wait_7',
  value ->> 'wait_8', value ->> 'wait_9', value ->> 'wait_10', value ->> 'wait_11', value ->> 'wait_12',
  value ->> 'wait_13'
FROM json_each(:rows)
