-- Store jobs in a caller's transaction, through any driver. $1, the only parameter, is a JSON text
-- whose cast avoids the caller's codecs; each row is one column of text. Otherwise as
-- insert_unique.sql, but at statement_timestamp(), since the transaction may have begun long ago.
-- The announcement is part of the transaction, once for each queue. A channel that is null means
-- none.
-- PostgreSQL executes no CTE that the query does not read, so it reads announced.
WITH given AS MATERIALIZED (
  SELECT CAST(CAST($1 AS text) AS json) AS body
), src AS MATERIALIZED (
  SELECT a.*, nextval(pg_get_serial_sequence('elihu.job', 'id')) AS id, statement_timestamp() AS stored,
    coalesce(a.run_at, statement_timestamp() + make_interval(secs => a.delay), statement_timestamp()) AS at,
    decode(a.digest, 'hex') || CASE WHEN a.period IS NULL THEN ''::bytea
      ELSE int8send(floor(extract(epoch FROM statement_timestamp())::float8 / a.period)::bigint) END AS ukey,
    CASE WHEN a.scope >= 1 THEN coalesce(
      to_timestamp((floor(extract(epoch FROM statement_timestamp())::float8 / a.period) + 1) * a.period),
      statement_timestamp() + interval '30 days') END AS keep_until
  FROM given, json_to_recordset(given.body -> 'jobs') AS a(ord integer, task text, queue text, priority smallint, max_attempts integer,
    args text, options text, meta text, tags text[], run_at timestamptz, delay float8, hold boolean, expires float8, awaited boolean,
    template text, identifier text, digest text, scope smallint, period float8, notify boolean)
), ins AS (
  INSERT INTO elihu.job (id, state, task, queue, priority, max_attempts, args, options, meta, tags, inserted_at, scheduled_at,
    expires_at, awaited, template, identifier, unique_key, unique_scope, keep_until)
  SELECT s.id,
    CASE WHEN s.hold THEN 'suspended' WHEN s.at > s.stored THEN 'scheduled' ELSE 'available' END,
    s.task, s.queue, s.priority, s.max_attempts, s.args::json, s.options::json, s.meta::json, s.tags, s.stored, s.at,
    s.at + make_interval(secs => s.expires), s.awaited, s.template, s.identifier, s.ukey, s.scope, s.keep_until
  FROM src s
  ORDER BY s.ukey, s.ord
  ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND (unique_scope = 2
    OR state IN ('suspended','scheduled','available','executing','retryable') OR (unique_scope = 1 AND state = 'completed')) DO NOTHING
  RETURNING id, state, queue
), announced AS MATERIALIZED (
  SELECT pg_notify(given.body ->> 'channel', 'jobs:' || due.queue)
  FROM given, (SELECT DISTINCT i.queue FROM ins i JOIN src s USING (id) WHERE i.state = 'available' AND s.notify) due
  WHERE given.body ->> 'channel' IS NOT NULL
)
SELECT json_build_array(i.id, i.state, CAST(extract(epoch FROM s.stored) * 1000000 AS bigint),
  CAST(extract(epoch FROM s.at) * 1000000 AS bigint), encode(s.ukey, 'hex'))::text
FROM src s LEFT JOIN ins i USING (id)
WHERE (SELECT count(*) FROM announced) >= 0
ORDER BY s.ord
