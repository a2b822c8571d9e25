-- Change waiting jobs as the jobs that met their unique keys want it. :given is an array of objects, of which NULL stays; "at" and "expires_at" in
-- microseconds. Under the write lock under which their states were read. A new time decides anew between available and scheduled; a
-- suspended job stays suspended.
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
