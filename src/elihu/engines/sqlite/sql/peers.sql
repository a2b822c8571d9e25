-- The ids of all nodes. A node lives while it holds its lock, so a heartbeat writes nothing.
SELECT id FROM node ORDER BY id
