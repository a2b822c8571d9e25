-- The overrides for every node (node is NULL), and those for node $1. NULL means those for each
-- single node.
SELECT name AS queue, NULL::text AS node, served, slots, paused FROM elihu.queue
UNION ALL
SELECT queue, node::text, served, slots, paused FROM elihu.node_queue WHERE $1::uuid IS NULL OR node = $1::uuid
ORDER BY queue, node NULLS FIRST
