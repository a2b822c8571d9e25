-- Override the settings of queue $1 for node $5: $2 served, $3 slots, $4 paused. NULL changes
-- nothing. No row comes back without such a node.
INSERT INTO elihu.node_queue AS q (node, queue, served, slots, paused)
SELECT id, $1, $2::boolean, $3::integer, $4::boolean FROM elihu.node WHERE id = $5::uuid
ON CONFLICT (node, queue) DO UPDATE SET
  served = coalesce(excluded.served, q.served), slots = coalesce(excluded.slots, q.slots), paused = coalesce(excluded.paused, q.paused)
RETURNING queue
