-- Make at most $1 due jobs available, oldest first. Returns the number staged for each queue, 0 for
-- queues that only have available jobs. ready goes through the index from queue to queue, so its
-- cost is the number of queues; it sees the jobs as of the statement's beginning.
WITH RECURSIVE due AS MATERIALIZED (
  SELECT id FROM elihu.job
  WHERE state IN ('scheduled','retryable') AND scheduled_at <= now()
  ORDER BY scheduled_at, id
  LIMIT $1::integer
  FOR NO KEY UPDATE SKIP LOCKED
), moved AS (
  UPDATE elihu.job SET state = 'available' WHERE id = ANY(ARRAY(SELECT id FROM due)) RETURNING queue
), ready(queue) AS (
  (SELECT queue FROM elihu.job WHERE state = 'available' ORDER BY queue LIMIT 1)
  UNION ALL
  SELECT (SELECT j.queue FROM elihu.job j WHERE j.state = 'available' AND j.queue > r.queue ORDER BY j.queue LIMIT 1)
  FROM ready r
  WHERE r.queue IS NOT NULL
)
SELECT queue, sum(n)::bigint AS staged
FROM (SELECT queue, 1 AS n FROM moved UNION ALL SELECT queue, 0 FROM ready WHERE queue IS NOT NULL) u
GROUP BY queue
