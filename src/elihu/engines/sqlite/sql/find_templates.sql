-- A page of templates after a place, or the first page; :active is true, false or, for both, NULL.
SELECT code, name, task, queue, schema, default_timeout, default_max_attempts, active,
  display_order, inserted_at, updated_at, revision, synced
FROM template
WHERE (:active IS NULL OR active = :active) AND (:after_code IS NULL OR (display_order, code) > (:after_order, :after_code))
ORDER BY display_order, code
LIMIT :limit
