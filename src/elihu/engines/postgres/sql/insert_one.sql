-- Store one job without a unique key. The arrays of insert.sql would cost a tenth of a durable
-- insert. $1 task, $2 queue, $3 priority, $4 max_attempts, $5 args, $6 options, $7 meta, $8 tags,
-- $9 run_at, $10 delay, $11 hold, $12 expires, $13 awaited, $14 template, $15 identifier.
INSERT INTO elihu.job (state, task, queue, priority, max_attempts, args, options, meta, tags, scheduled_at,
  expires_at, awaited, template, identifier)
SELECT
  CASE WHEN $11::boolean THEN 'suspended' WHEN s.at > now() THEN 'scheduled' ELSE 'available' END,
  $1::text, $2::text, $3::smallint, $4::integer, $5::text::json, $6::text::json, $7::text::json, $8::text[], s.at,
  s.at + make_interval(secs => $12::float8), $13::boolean, $14::text, $15::text
FROM (SELECT coalesce($9::timestamptz, now() + make_interval(secs => $10::float8), now()) AS at) s
RETURNING id, state, inserted_at, scheduled_at
