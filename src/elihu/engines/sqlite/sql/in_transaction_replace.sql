-- As insert_replace.sql in a caller's transaction. The only parameter is the array of objects,
-- each of which also has "now" in microseconds. The insert before it has taken the write lock.
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
    WHEN g.value ->> 'at' > g.value ->> 'now' THEN 'scheduled' ELSE 'available' END
FROM json_each(?) g
WHERE job.id = g.value ->> 'id'
RETURNING json_array(id)
