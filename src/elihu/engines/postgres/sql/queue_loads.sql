-- The number of available jobs for each queue (node is NULL), and of executing ones for each node.
-- Both read the partial index of their state.
SELECT queue, NULL::text AS node, count(*) AS jobs FROM elihu.job WHERE state = 'available' GROUP BY queue
UNION ALL
SELECT queue, node::text, count(*) FROM elihu.job WHERE state = 'executing' GROUP BY queue, node
