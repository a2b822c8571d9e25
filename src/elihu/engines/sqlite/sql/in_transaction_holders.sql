-- The jobs that hold the unique keys in a JSON array, in one column of text. The condition is that of the index job_unique, word for word: so
-- it is used.
SELECT json_array(id, state, queue, task, args, meta, tags, priority, attempt, max_attempts, unique_key,
  CAST(inserted_at * 1000000.0 + 0.5 AS INTEGER), CAST(scheduled_at * 1000000.0 + 0.5 AS INTEGER),
  CAST(started_at * 1000000.0 + 0.5 AS INTEGER), CAST(finished_at * 1000000.0 + 0.5 AS INTEGER), reason, result, progress, node,
  template, identifier, CAST(expires_at * 1000000.0 + 0.5 AS INTEGER))
FROM job
WHERE unique_key IN (SELECT value FROM json_each(?)) AND unique_key IS NOT NULL AND (unique_scope = 2
  OR state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable') OR (unique_scope = 1 AND state = 'completed'))
