-- Store jobs without a unique key: $1 to $15 are arrays with one element for each job. Ids ascend
-- in the order of the arrays, since the identity is drawn after the sort. Rows have no order; the
-- caller sorts them by id.
INSERT INTO elihu.job (state, task, queue, priority, max_attempts, args, options, meta, tags, scheduled_at,
  expires_at, awaited, template, identifier)
SELECT
  CASE WHEN s.hold THEN 'suspended' WHEN s.at > now() THEN 'scheduled' ELSE 'available' END,
  s.task, s.queue, s.priority, s.max_attempts, s.args::json, s.options::json, s.meta::json,
  CASE WHEN s.tags IS NULL THEN '{}' ELSE ARRAY(SELECT json_array_elements_text(s.tags::json)) END,
  s.at, s.at + make_interval(secs => s.expires), coalesce(s.awaited, false), s.template, s.identifier
FROM (
  SELECT *, coalesce(run_at, now() + make_interval(secs => delay), now()) AS at
  FROM unnest($1::text[], $2::text[], $3::smallint[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[],
      $9::timestamptz[], $10::float8[], $11::boolean[], $12::float8[], $13::boolean[], $14::text[], $15::text[])
    WITH ORDINALITY AS a(task, queue, priority, max_attempts, args, options, meta, tags, run_at, delay, hold,
      expires, awaited, template, identifier, ord)
) s
ORDER BY s.ord
RETURNING id, state, inserted_at, scheduled_at
