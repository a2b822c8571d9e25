-- Change waiting jobs as the jobs with the same unique key ask. :given is an array of objects;
-- NULL leaves a field as it is; "at" and "expires_at" are in microseconds. Executed under the
-- write lock under which the states were read. A new time decides between available and scheduled;
-- a suspended job stays suspended.
UPDATE job SET
  args = coalesce(g.value ->> 'args', args),
  queue = coalesce(g.value ->> 'queue', queue),
  priority = coalesce(g.value ->> 'priority', priority),
  max_attempts = coalesce(g.value ->> 'max_attempts', max_attempts),
  tags = coalesce(g.value ->> 'tags', tags),
  meta = coalesce(g.value ->> 'meta', meta),
  scheduled_at = coalesce((g.value ->> 'at') / 1000000.0, scheduled_at),
  expires_at = CASE WHEN g.value ->> 'at' IS NULL THEN expires_at ELSE (g.value ->> 'expires_at') / 1000000.0 END,
  state = CASE WHEN g.value ->> 'at' IS NULL OR state = 'suspended' THEN state
    WHEN (g.value ->> 'at') / 1000000.0 > :now THEN 'scheduled' ELSE 'available' END
FROM json_each(:given) g
WHERE job.id = g.value ->> 'id'
