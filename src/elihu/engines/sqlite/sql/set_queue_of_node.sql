-- Say of a queue to one node alone whether it is served, its slots and whether it is paused; what is NULL stays as it was said.
-- Nothing changes where there is no such node.
INSERT INTO node_queue (node, queue, served, slots, paused)
SELECT id, :queue, :served, :limit, :paused FROM node WHERE id = :node
ON CONFLICT (node, queue) DO UPDATE SET
  served = coalesce(excluded.served, served), slots = coalesce(excluded.slots, slots), paused = coalesce(excluded.paused, paused)
