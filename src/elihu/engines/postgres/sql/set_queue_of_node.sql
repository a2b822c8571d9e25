-- Say of queue $1 to node $5 alone whether it is served ($2), its slots ($3) and whether it is paused ($4); what is NULL stays as it was said.
-- No row comes back where there is no such node.
INSERT INTO elihu.node_queue AS q (node, queue, served, slots, paused)
SELECT id, $1, $2::boolean, $3::integer, $4::boolean FROM elihu.node WHERE id = $5::uuid
ON CONFLICT (node, queue) DO UPDATE SET
  served = coalesce(excluded.served, q.served), slots = coalesce(excluded.slots, q.slots), paused = coalesce(excluded.paused, q.paused)
RETURNING queue
