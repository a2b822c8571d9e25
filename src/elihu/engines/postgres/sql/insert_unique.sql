-- Store jobs of which some have a unique key: $1 to $15 as in insert.sql, $16 digests, $17 scopes,
-- $18 periods in seconds, $19 the lock time-out of this transaction.
--
-- Ids are drawn in the order of the arrays. Rows go in by unique key: one order of locks, so that
-- two batches do not deadlock. A holder of a key that was committed after the statement began is
-- invisible to it: id comes back NULL, and insert_holders.sql reads the holder by its key.
WITH src AS MATERIALIZED (
  SELECT *, nextval(pg_get_serial_sequence('elihu.job', 'id')) AS id,
    coalesce(run_at, now() + make_interval(secs => delay), now()) AS at,
    digest || CASE WHEN period IS NULL THEN ''::bytea ELSE int8send(floor(extract(epoch FROM now())::float8 / period)::bigint) END AS ukey,
    CASE WHEN scope >= 1 THEN coalesce(to_timestamp((floor(extract(epoch FROM now())::float8 / period) + 1) * period),
      now() + interval '30 days') END AS keep_until
  FROM unnest($1::text[], $2::text[], $3::smallint[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[],
      $9::timestamptz[], $10::float8[], $11::boolean[], $12::float8[], $13::boolean[], $14::text[], $15::text[],
      $16::bytea[], $17::smallint[], $18::float8[])
    WITH ORDINALITY AS a(task, queue, priority, max_attempts, args, options, meta, tags, run_at, delay, hold,
      expires, awaited, template, identifier, digest, scope, period, ord),
    set_config('lock_timeout', $19, true)
), ins AS (
  INSERT INTO elihu.job (id, state, task, queue, priority, max_attempts, args, options, meta, tags, scheduled_at,
    expires_at, awaited, template, identifier, unique_key, unique_scope, keep_until)
  SELECT s.id,
    CASE WHEN s.hold THEN 'suspended' WHEN s.at > now() THEN 'scheduled' ELSE 'available' END,
    s.task, s.queue, s.priority, s.max_attempts, s.args::json, s.options::json, s.meta::json,
    CASE WHEN s.tags IS NULL THEN '{}' ELSE ARRAY(SELECT json_array_elements_text(s.tags::json)) END,
    s.at, s.at + make_interval(secs => s.expires), coalesce(s.awaited, false), s.template, s.identifier, s.ukey, s.scope, s.keep_until
  FROM src s
  ORDER BY s.ukey, s.ord
  ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND (unique_scope = 2
    OR state IN ('suspended','scheduled','available','executing','retryable') OR (unique_scope = 1 AND state = 'completed')) DO NOTHING
  RETURNING id, state, inserted_at, scheduled_at
)
SELECT i.id, i.state, i.inserted_at, i.scheduled_at, s.ukey
FROM src s LEFT JOIN ins i USING (id)
ORDER BY s.ord
