-- Change the waiting jobs that hold the unique keys $1, and read all holders. $2 args, $3 queue, $4
-- priority, $5 max_attempts, $6 tags, $7 meta: arrays with one element for each key, of which NULL
-- changes nothing. $8 says whether the time changes, to $9 run_at or by $10 delay; $11 expires.
--
-- A new time decides again between available and scheduled. A suspended job stays suspended. Rows
-- are locked by key, in the order of insert_unique.sql. A job that is fetched meanwhile counts as
-- executing and is not changed.
WITH given AS MATERIALIZED (
  SELECT *, CASE WHEN moved THEN coalesce(run_at, now() + make_interval(secs => delay), now()) END AS at
  FROM unnest($1::bytea[], $2::text[], $3::text[], $4::smallint[], $5::integer[], $6::text[], $7::text[], $8::boolean[],
      $9::timestamptz[], $10::float8[], $11::float8[])
    AS g(key, args, queue, priority, max_attempts, tags, meta, moved, run_at, delay, expires)
), held AS MATERIALIZED (
  SELECT id, state, inserted_at, scheduled_at, unique_key FROM elihu.job
  WHERE unique_key = ANY($1::bytea[]) AND unique_key IS NOT NULL AND (unique_scope = 2
    OR state IN ('suspended','scheduled','available','executing','retryable') OR (unique_scope = 1 AND state = 'completed'))
  ORDER BY unique_key
  FOR NO KEY UPDATE
), changed AS (
  UPDATE elihu.job j SET
    args = coalesce(g.args::json, j.args),
    queue = coalesce(g.queue, j.queue),
    priority = coalesce(g.priority, j.priority),
    max_attempts = coalesce(g.max_attempts, j.max_attempts),
    tags = CASE WHEN g.tags IS NULL THEN j.tags ELSE ARRAY(SELECT json_array_elements_text(g.tags::json)) END,
    meta = coalesce(g.meta::json, j.meta),
    scheduled_at = coalesce(g.at, j.scheduled_at),
    expires_at = CASE WHEN g.moved THEN g.at + make_interval(secs => g.expires) ELSE j.expires_at END,
    state = CASE WHEN g.at IS NULL OR j.state = 'suspended' THEN j.state WHEN g.at > now() THEN 'scheduled' ELSE 'available' END
  FROM held h JOIN given g ON g.key = h.unique_key
  WHERE j.id = h.id AND h.state IN ('suspended','scheduled','available','retryable')
  RETURNING j.id, j.state, j.scheduled_at, j.queue
)
SELECT h.id, coalesce(c.state, h.state) AS state, h.inserted_at, coalesce(c.scheduled_at, h.scheduled_at) AS scheduled_at, h.unique_key,
  CASE WHEN c.state = 'available' THEN c.queue END AS woken
FROM held h LEFT JOIN changed c USING (id)
