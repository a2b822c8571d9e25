-- Override the settings of queue $1 for every node: $2 served, $3 slots, $4 paused. NULL changes
-- nothing. Overrides of the same setting for single nodes end.
WITH single AS (
  UPDATE elihu.node_queue SET
    served = CASE WHEN $2::boolean IS NULL THEN served END,
    slots = CASE WHEN $3::integer IS NULL THEN slots END,
    paused = CASE WHEN $4::boolean IS NULL THEN paused END
  WHERE queue = $1
)
INSERT INTO elihu.queue AS q (name, served, slots, paused) VALUES ($1, $2::boolean, $3::integer, coalesce($4::boolean, false))
ON CONFLICT (name) DO UPDATE SET
  served = coalesce($2::boolean, q.served), slots = coalesce($3::integer, q.slots), paused = coalesce($4::boolean, q.paused)
RETURNING name
