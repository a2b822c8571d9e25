-- What was said of the same to single nodes ends: the last word counts.
UPDATE node_queue SET
  served = CASE WHEN :served IS NULL THEN served END,
  slots = CASE WHEN :limit IS NULL THEN slots END,
  paused = CASE WHEN :paused IS NULL THEN paused END
WHERE queue = :queue
