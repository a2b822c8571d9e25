-- The queues that have available jobs. The index is read from queue to queue, so that the cost is
-- the number of queues, not of jobs.
WITH RECURSIVE ready(queue) AS (
  SELECT (SELECT queue FROM job WHERE state = 'available' ORDER BY queue LIMIT 1)
  UNION ALL
  SELECT (SELECT j.queue FROM job j WHERE j.state = 'available' AND j.queue > r.queue ORDER BY j.queue LIMIT 1) FROM ready r WHERE r.queue IS NOT NULL
)
SELECT queue FROM ready WHERE queue IS NOT NULL
