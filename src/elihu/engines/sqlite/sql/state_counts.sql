-- The number of jobs of each state, counted up to a limit in each partial index. A state may have
-- two rows.
SELECT 'suspended' AS state, count(*) AS jobs
FROM (SELECT 1 FROM job INDEXED BY job_suspended
  WHERE state = 'suspended' LIMIT :most) AS found
UNION ALL
SELECT 'available' AS state, count(*) AS jobs
FROM (SELECT 1 FROM job INDEXED BY job_fetch
  WHERE state = 'available' LIMIT :most) AS found
UNION ALL
SELECT 'executing' AS state, count(*) AS jobs
FROM (SELECT 1 FROM job INDEXED BY job_running
  WHERE state = 'executing' LIMIT :most) AS found
UNION ALL
SELECT state, count(*)
FROM (SELECT state FROM job INDEXED BY job_stage
  WHERE state IN ('scheduled','retryable')
  ORDER BY scheduled_at, id LIMIT :most) AS found GROUP BY state
UNION ALL
SELECT 'completed', count(*)
FROM (SELECT 1 FROM job INDEXED BY job_finished
  WHERE state = 'completed' AND prune_at IS NULL AND state IN ('completed','discarded','cancelled')
  LIMIT :most) AS found
UNION ALL
SELECT 'discarded', count(*)
FROM (SELECT 1 FROM job INDEXED BY job_failed
  WHERE state = 'discarded' AND state IN ('discarded','cancelled') LIMIT :most) AS found
UNION ALL
SELECT 'cancelled', count(*)
FROM (SELECT 1 FROM job INDEXED BY job_failed
  WHERE state = 'cancelled' AND state IN ('discarded','cancelled') LIMIT :most) AS found
UNION ALL
SELECT state, count(*) FROM (SELECT state FROM job INDEXED BY job_prune WHERE prune_at IS NOT NULL AND state IN ('completed','discarded','cancelled')
  ORDER BY prune_at DESC LIMIT :most) AS found WHERE state = 'completed' GROUP BY state
