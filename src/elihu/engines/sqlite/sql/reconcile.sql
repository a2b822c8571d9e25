-- Return the jobs; their attempts do not count. An intent to cancel wins.
UPDATE job SET
  state = CASE WHEN intent = 'cancel' THEN 'cancelled' ELSE 'available' END,
  attempt = attempt - 1,
  reason = CASE WHEN intent = 'cancel' THEN 'cancelled' END,
  finished_at = CASE WHEN intent = 'cancel' THEN :now END,
  intent = NULL
WHERE id IN (SELECT value FROM json_each(:ids))
