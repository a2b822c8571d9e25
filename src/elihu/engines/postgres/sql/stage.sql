-- Make at most $1 due jobs available, oldest first. Returns the number staged for each queue and, where
-- $2, 0 for each other queue that has available jobs, and a row without a queue if a job is past its
-- expiry. The queues are read from the index from queue to queue, so that the cost is the number of
-- queues, not of jobs.
WITH RECURSIVE due AS MATERIALIZED (
  SELECT id FROM elihu.job
  WHERE state IN ('scheduled','retryable') AND scheduled_at <= now()
  ORDER BY scheduled_at, id
  LIMIT $1::integer
  FOR NO KEY UPDATE SKIP LOCKED
), moved AS (
  UPDATE elihu.job SET state = 'available' WHERE id = ANY(ARRAY(SELECT id FROM due)) RETURNING queue
), ready(queue) AS (
  (SELECT queue FROM elihu.job WHERE state = 'available' AND $2::boolean ORDER BY queue LIMIT 1)
  UNION ALL
  SELECT (SELECT j.queue FROM elihu.job j WHERE j.state = 'available' AND j.queue > r.queue ORDER BY j.queue LIMIT 1)
  FROM ready r
  WHERE r.queue IS NOT NULL
)
SELECT queue, sum(n)::bigint AS staged
FROM (SELECT queue, 1 AS n FROM moved UNION ALL SELECT queue, 0 FROM ready WHERE queue IS NOT NULL) u
GROUP BY queue
UNION ALL
SELECT NULL, 0
WHERE $2::boolean AND EXISTS (
  SELECT FROM elihu.job
  WHERE state IN ('scheduled','available') AND expires_at IS NOT NULL AND expires_at <= now() AND started_at IS NULL
)
