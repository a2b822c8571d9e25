-- How many jobs of each queue are available (node is NULL) and how many each node executes: both read the partial index of their state.
SELECT queue, NULL AS node, count(*) FROM job INDEXED BY job_fetch WHERE state = 'available' GROUP BY queue
UNION ALL
SELECT queue, node, count(*) FROM job INDEXED BY job_running WHERE state = 'executing' GROUP BY queue, node
