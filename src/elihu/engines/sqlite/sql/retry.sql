-- Make the jobs available.
UPDATE job SET state = 'available', scheduled_at = :now, max_attempts = max(max_attempts, attempt + 1), orphans = 0,
  expires_at = NULL, finished_at = NULL, result = NULL, reason = NULL, intent = NULL, prune_at = NULL,
  options = json_remove(options, '$.on_error_due')
WHERE id IN (SELECT value FROM json_each(:ids))
