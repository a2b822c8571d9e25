-- The ids of all nodes. A node is alive while it holds its lock: a heartbeat writes nothing.
SELECT id FROM node ORDER BY id
