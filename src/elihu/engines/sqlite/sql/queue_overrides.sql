-- What was said of queues to every node (node is NULL), and to one node alone; where none is named to each node.
SELECT name AS queue, NULL AS node, served, slots, paused FROM queue
UNION ALL
SELECT queue, node, served, slots, paused FROM node_queue WHERE :node IS NULL OR node = :node
ORDER BY queue, node
