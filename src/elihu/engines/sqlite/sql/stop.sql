-- Take the running job from its node and give it back, not counted, without a word to the attempt, which goes on: its end will be refused,
-- since the job is not executing, or under another claim. A wish to cancel is kept.
UPDATE job SET
  state = CASE WHEN intent = 'cancel' THEN 'cancelled' ELSE 'available' END,
  attempt = attempt - 1,
  orphans = 0,
  reason = CASE WHEN intent = 'cancel' THEN 'cancelled' END,
  finished_at = CASE WHEN intent = 'cancel' THEN :now END,
  intent = CASE WHEN intent = 'on_error' THEN intent END
WHERE id = :id AND state = 'executing'
