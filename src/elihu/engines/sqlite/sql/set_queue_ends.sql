-- Clear the same settings on single nodes, since the last override counts.
UPDATE node_queue SET
  served = CASE WHEN :served IS NULL THEN served END,
  slots = CASE WHEN :limit IS NULL THEN slots END,
  paused = CASE WHEN :paused IS NULL THEN paused END
WHERE queue = :queue
