-- Write all of template $1 if its revision is still $12. The other parameters are those of
-- add_template.sql.
UPDATE elihu.template SET name = $2, task = $3, queue = $4, schema = $5::text::json, default_timeout = $6::float8,
  default_max_attempts = $7::integer, active = $8::boolean, display_order = $9::integer, synced = $10, revision = $11, updated_at = now()
WHERE code = $1 AND revision = $12
RETURNING code, name, task, queue, schema, default_timeout, default_max_attempts, active,
  display_order, inserted_at, updated_at, revision, synced
