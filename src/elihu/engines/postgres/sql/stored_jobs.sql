-- At most $2 unfinished jobs above the id $1, whole. A unique key is a digest of 32 bytes, and with a period the number of its
-- window in 8 more.
SELECT id, state, queue, task, priority, attempt, max_attempts, args::text AS args, options::text AS options, meta::text AS meta,
  tags, encode(substring(unique_key FROM 1 FOR 32), 'hex') AS unique_key,
  CASE WHEN length(unique_key) = 40 THEN ('x' || encode(substring(unique_key FROM 33 FOR 8), 'hex'))::bit(64)::bigint END
    AS unique_window,
  unique_scope, scheduled_at, expires_at, awaited, template, identifier, occurrence
FROM elihu.job
WHERE id > $1::bigint AND state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable')
ORDER BY id LIMIT $2::integer
