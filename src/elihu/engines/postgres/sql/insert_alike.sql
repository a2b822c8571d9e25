-- Store jobs that differ in arguments ($12) and unique key alone, except those whose key another job has. $1 to $11 are what they have in
-- common, $13 digests, $14 the lock time-out of this transaction. Nobody wants their ids, so no row comes back.
--
-- Ids are drawn in the order of the arrays. Rows go in by unique key: one order of locks, so that two batches do not deadlock.
INSERT INTO elihu.job (id, task, queue, priority, max_attempts, options, meta, tags, awaited, template, unique_scope, keep_until, scheduled_at, args, unique_key)
SELECT s.id, $1::text, $2::text, $3::smallint, $4::integer, $5::text::json, $6::text::json, $7::text[], $8::boolean, $9::text, $10::smallint,
  CASE WHEN $10::smallint >= 1 THEN coalesce(to_timestamp((floor(extract(epoch FROM now())::float8 / $11::float8) + 1) * $11::float8),
    now() + interval '30 days') END,
  now(), s.args::json, s.ukey
FROM (
  SELECT nextval(pg_get_serial_sequence('elihu.job', 'id')) AS id, a.args,
    a.digest || CASE WHEN $11::float8 IS NULL THEN ''::bytea ELSE int8send(floor(extract(epoch FROM now())::float8 / $11::float8)::bigint) END AS ukey
  FROM unnest($12::text[], $13::bytea[]) AS a(args, digest), set_config('lock_timeout', $14, true)
) s
ORDER BY s.ukey
ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND (unique_scope = 2
  OR state IN ('suspended','scheduled','available','executing','retryable') OR (unique_scope = 1 AND state = 'completed')) DO NOTHING
