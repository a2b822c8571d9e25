-- Template $1.
SELECT code, name, task, queue, schema, default_timeout, default_max_attempts, active,
  display_order, inserted_at, updated_at, revision, synced
FROM elihu.template
WHERE code = $1
