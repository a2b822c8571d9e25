-- At most :limit unfinished jobs above an id, whole. A unique key is a digest in hexadecimal, and with a period a colon and
-- the number of its window.
SELECT id, state, queue, task, priority, attempt, max_attempts, args, options, meta, tags, substr(unique_key, 1, 64),
  CASE WHEN length(unique_key) > 64 THEN CAST(substr(unique_key, 66) AS INTEGER) END,
  unique_scope, scheduled_at, expires_at, awaited, template, identifier, occurrence
FROM job
WHERE id > :after AND state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable')
ORDER BY id LIMIT :limit
