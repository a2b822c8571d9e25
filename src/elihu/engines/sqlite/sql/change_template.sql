-- Write all of a template while its revision is :known.
UPDATE template SET name = :name, task = :task, queue = :queue, schema = :schema, default_timeout = :default_timeout,
  default_max_attempts = :default_max_attempts, active = :active, display_order = :display_order, synced = :synced, revision = :revision,
  updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0
WHERE code = :code AND revision = :known
RETURNING code, name, task, queue, schema, default_timeout, default_max_attempts, active,
  display_order, inserted_at, updated_at, revision, synced
