-- The available jobs of each queue (node is NULL), counted up to a limit, and the executing ones of
-- each queue and node. Both read the partial index of their state; the names of the queues are found
-- by a search for the next one. The last column is the time since which the longest wait lasts, found
-- by a search for each priority.
WITH RECURSIVE name(queue) AS (
  SELECT (SELECT queue FROM job INDEXED BY job_fetch WHERE state = 'available' ORDER BY queue LIMIT 1)
  UNION ALL
  SELECT (SELECT queue FROM job INDEXED BY job_fetch WHERE state = 'available' AND queue > name.queue ORDER BY queue LIMIT 1)
  FROM name WHERE name.queue IS NOT NULL
), level(priority) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))
SELECT queue, NULL AS node,
  (SELECT count(*) FROM (SELECT 1 FROM job INDEXED BY job_fetch WHERE state = 'available' AND queue = name.queue LIMIT :most)),
  (SELECT min((SELECT scheduled_at FROM job INDEXED BY job_fetch WHERE state = 'available' AND queue = name.queue
    AND priority = level.priority ORDER BY scheduled_at LIMIT 1)) FROM level)
FROM name WHERE queue IS NOT NULL
UNION ALL
SELECT queue, node, count(*), NULL FROM job INDEXED BY job_running WHERE state = 'executing' GROUP BY queue, node
