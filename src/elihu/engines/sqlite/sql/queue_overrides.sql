-- The overrides for every node (node is NULL), and those for one node, or without :node for each.
SELECT name AS queue, NULL AS node, served, slots, paused FROM queue
UNION ALL
SELECT queue, node, served, slots, paused FROM node_queue WHERE :node IS NULL OR node = :node
ORDER BY queue, node
