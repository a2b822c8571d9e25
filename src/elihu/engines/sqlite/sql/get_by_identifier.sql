-- The job that has an identifier.
SELECT id, state, queue, task, args, meta, tags, priority, attempt, max_attempts, unique_key, inserted_at, scheduled_at, started_at, finished_at,
  reason, result, progress, node, template, identifier, expires_at
FROM job
WHERE identifier = :identifier
