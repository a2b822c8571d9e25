-- One job: $1.
SELECT id, state, queue, task, args, meta, tags, priority, attempt, max_attempts, encode(unique_key, 'hex') AS unique_key,
  inserted_at, scheduled_at, started_at, finished_at, reason, result, progress, node::text AS node,
  template, identifier, expires_at
FROM elihu.job
WHERE id = $1
