-- One template.
SELECT code, name, task, queue, schema, default_timeout, default_max_attempts, active,
  display_order, inserted_at, updated_at, revision, synced
FROM template
WHERE code = :code
