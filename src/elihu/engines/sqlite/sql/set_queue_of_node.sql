-- Override the settings of a queue on one node; NULL leaves a setting as it was. No row is written
-- where there is no such node.
INSERT INTO node_queue (node, queue, served, slots, paused)
SELECT id, :queue, :served, :limit, :paused FROM node WHERE id = :node
ON CONFLICT (node, queue) DO UPDATE SET
  served = coalesce(excluded.served, served), slots = coalesce(excluded.slots, slots), paused = coalesce(excluded.paused, paused)
