-- The available jobs of each queue (node is NULL), and the executing ones of each queue and node.
-- Both read the partial index of their state.
SELECT queue, NULL AS node, count(*) FROM job INDEXED BY job_fetch WHERE state = 'available' GROUP BY queue
UNION ALL
SELECT queue, node, count(*) FROM job INDEXED BY job_running WHERE state = 'executing' GROUP BY queue, node
