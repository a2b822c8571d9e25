-- Store a template. No row is returned where its code is taken.
INSERT INTO template (code, name, task, queue, schema, default_timeout, default_max_attempts, active, display_order, synced, revision)
VALUES (:code, :name, :task, :queue, :schema, :default_timeout, :default_max_attempts, :active, :display_order, :synced, :revision)
ON CONFLICT DO NOTHING
RETURNING code, name, task, queue, schema, default_timeout, default_max_attempts, active,
  display_order, inserted_at, updated_at, revision, synced
