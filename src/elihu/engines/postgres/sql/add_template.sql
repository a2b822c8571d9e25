-- Store a template. No row comes back if the code is taken. $1 code, $2 name, $3 task, $4 queue, $5
-- schema, $6 default_timeout, $7 default_max_attempts, $8 active, $9 display_order, $10 synced, $11
-- revision. The index of pages is unique too, and two who add one code at once may meet there first.
INSERT INTO elihu.template (code, name, task, queue, schema, default_timeout,
  default_max_attempts, active, display_order, synced, revision)
VALUES ($1, $2, $3, $4, $5::text::json, $6::float8, $7::integer, $8::boolean, $9::integer, $10, $11)
ON CONFLICT DO NOTHING
RETURNING code, name, task, queue, schema, default_timeout, default_max_attempts, active,
  display_order, inserted_at, updated_at, revision, synced
