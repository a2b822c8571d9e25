-- How many jobs of each queue are available (node is NULL) and how many each node executes: both read the partial index of their state.
SELECT queue, NULL::text AS node, count(*) AS jobs FROM elihu.job WHERE state = 'available' GROUP BY queue
UNION ALL
SELECT queue, node::text, count(*) FROM elihu.job WHERE state = 'executing' GROUP BY queue, node
