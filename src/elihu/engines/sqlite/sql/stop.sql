-- Take an executing job from its node and make it available. The attempt does not count, and its
-- end will be refused, since the job then is not executing or has another claim. An intent to
-- cancel wins.
UPDATE job SET
  state = CASE WHEN intent = 'cancel' THEN 'cancelled' ELSE 'available' END,
  attempt = attempt - 1,
  orphans = 0,
  reason = CASE WHEN intent = 'cancel' THEN 'cancelled' END,
  finished_at = CASE WHEN intent = 'cancel' THEN :now END,
  intent = NULL
WHERE id = :id AND state = 'executing'
