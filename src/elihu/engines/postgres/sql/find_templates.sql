-- A page of at most $4 templates behind the place ($2, $3), or the first page. $1 selects active or
-- inactive ones; NULL selects both.
SELECT code, name, task, queue, schema, default_timeout, default_max_attempts, active,
  display_order, inserted_at, updated_at, revision, synced
FROM elihu.template
WHERE ($1::boolean IS NULL OR active = $1) AND ($3::text IS NULL OR (display_order, code) > ($2::integer, $3))
ORDER BY display_order, code
LIMIT $4::integer
