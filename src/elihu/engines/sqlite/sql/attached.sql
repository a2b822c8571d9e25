-- The jobs :ids under the same lock; the last column is the claim after which ends count for whoever begins to wait now.
SELECT id, state, queue, task, args, meta, tags, priority, attempt, max_attempts, unique_key,
  inserted_at, scheduled_at, started_at, finished_at, reason, result, progress, node, template, identifier, expires_at,
  claim - (state = 'executing')
FROM job
WHERE id IN (SELECT value FROM json_each(:ids))
