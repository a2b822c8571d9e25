-- Change an unfinished job that is not executing; NULL leaves a field as it is. A new time decides
-- between available and scheduled; a suspended job stays suspended.
UPDATE job SET
  args = coalesce(:args, args),
  queue = coalesce(:queue, queue),
  priority = coalesce(:priority, priority),
  scheduled_at = coalesce(:run_at, scheduled_at),
  max_attempts = coalesce(:max_attempts, max_attempts),
  tags = coalesce(:tags, tags),
  meta = coalesce(:meta, meta),
  state = CASE WHEN :run_at IS NULL OR state = 'suspended' THEN state WHEN :run_at > :now THEN 'scheduled' ELSE 'available' END
WHERE id = :id AND state IN ('suspended', 'scheduled', 'available', 'retryable')
