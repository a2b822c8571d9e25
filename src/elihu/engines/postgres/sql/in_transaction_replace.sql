-- As insert_replace.sql in a caller's transaction. "jobs" in the JSON text $1 are objects: the
-- unique key in hexadecimal, and the fields, of which NULL changes nothing. Times start at
-- statement_timestamp(). in_transaction_holders.sql reads the holders afterwards. Queues with jobs
-- that become available are announced with the commit, unless the channel is null or "notify" is
-- false.
WITH given AS MATERIALIZED (
  SELECT CAST(CAST($1 AS text) AS json) AS body
), wanted AS MATERIALIZED (
  SELECT g.*, decode(g.key, 'hex') AS ukey,
    CASE WHEN g.moved THEN coalesce(g.run_at, statement_timestamp() + make_interval(secs => g.delay), statement_timestamp()) END AS at
  FROM given, json_to_recordset(given.body -> 'jobs') AS g(key text, args text, queue text, priority smallint, max_attempts integer,
    tags text, meta text, moved boolean, run_at timestamptz, delay float8, expires float8, notify boolean)
), held AS MATERIALIZED (
  SELECT id, state, unique_key FROM elihu.job
  WHERE unique_key = ANY(ARRAY(SELECT ukey FROM wanted)) AND unique_key IS NOT NULL AND (unique_scope = 2
    OR state IN ('suspended','scheduled','available','executing','retryable') OR (unique_scope = 1 AND state = 'completed'))
  ORDER BY unique_key
  FOR NO KEY UPDATE
), changed AS (
  UPDATE elihu.job j SET
    args = coalesce(w.args::json, j.args),
    queue = coalesce(w.queue, j.queue),
    priority = coalesce(w.priority, j.priority),
    max_attempts = coalesce(w.max_attempts, j.max_attempts),
    tags = CASE WHEN w.tags IS NULL THEN j.tags ELSE ARRAY(SELECT json_array_elements_text(w.tags::json)) END,
    meta = coalesce(w.meta::json, j.meta),
    scheduled_at = coalesce(w.at, j.scheduled_at),
    expires_at = CASE WHEN w.moved THEN w.at + make_interval(secs => w.expires) ELSE j.expires_at END,
    state = CASE WHEN w.at IS NULL OR j.state = 'suspended' THEN j.state
      WHEN w.at > statement_timestamp() THEN 'scheduled' ELSE 'available' END
  FROM held h JOIN wanted w ON w.ukey = h.unique_key
  WHERE j.id = h.id AND h.state IN ('suspended','scheduled','available','retryable')
  RETURNING j.state, j.queue, w.notify
), announced AS MATERIALIZED (
  SELECT pg_notify(given.body ->> 'channel', 'jobs:' || due.queue)
  FROM given, (SELECT DISTINCT queue FROM changed WHERE state = 'available' AND notify) due
  WHERE given.body ->> 'channel' IS NOT NULL
)
SELECT json_build_array((SELECT count(*) FROM changed), (SELECT count(*) FROM announced))::text
