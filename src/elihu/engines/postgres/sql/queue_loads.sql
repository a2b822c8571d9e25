-- The number of available jobs for each queue (node is NULL), counted up to $1, and of executing ones for each node. Both read
-- the partial index of their state; the names of the queues are found by a search for the next one. wait is the longest wait
-- in seconds, found by a search for each priority. ORDER BY keeps the planner, which does not know $1, from reading the table.
WITH RECURSIVE name AS (
  (SELECT queue FROM elihu.job WHERE state = 'available' ORDER BY queue LIMIT 1)
  UNION ALL
  SELECT (SELECT queue FROM elihu.job WHERE state = 'available' AND queue > name.queue ORDER BY queue LIMIT 1)
  FROM name WHERE name.queue IS NOT NULL
)
SELECT name.queue, NULL::text AS node,
  (SELECT count(*) FROM (SELECT FROM elihu.job WHERE state = 'available' AND queue = name.queue
    ORDER BY priority, scheduled_at, id LIMIT $1::bigint) AS found) AS jobs,
  (SELECT extract(epoch FROM now() - min(first)) FROM (
    SELECT (SELECT scheduled_at FROM elihu.job WHERE state = 'available' AND queue = name.queue AND priority = level
      ORDER BY scheduled_at LIMIT 1) AS first
    FROM generate_series(0, 9) AS level) AS firsts)::float8 AS wait
FROM name WHERE name.queue IS NOT NULL
UNION ALL
SELECT queue, node::text, count(*), NULL FROM elihu.job WHERE state = 'executing' GROUP BY queue, node
