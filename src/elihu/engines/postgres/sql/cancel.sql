-- Cancel jobs that wait and mark those that execute: at most $3 jobs with ids above $1 and up to
-- $2. Rows are locked by id, so that two such statements do not deadlock.
WITH picked AS MATERIALIZED (
  SELECT id FROM elihu.job
  WHERE id > $1::bigint AND id <= $2::bigint /* filter */ AND (state <> 'executing' OR intent IS DISTINCT FROM 'cancel')
  ORDER BY id
  LIMIT $3::integer
  FOR NO KEY UPDATE
), changed AS (
  UPDATE elihu.job SET
    state = CASE WHEN state = 'executing' THEN state ELSE 'cancelled' END,
    intent = CASE WHEN state = 'executing' THEN 'cancel' END,
    reason = CASE WHEN state = 'executing' THEN reason ELSE 'cancelled' END,
    finished_at = CASE WHEN state = 'executing' THEN NULL ELSE now() END
  WHERE id = ANY(ARRAY(SELECT id FROM picked))
  RETURNING id, state, node, awaited
)
SELECT (SELECT count(*) FROM picked) AS seen, (SELECT max(id) FROM picked) AS last, (SELECT count(*) FROM changed) AS changed,
  '{}'::text[] AS queues, ARRAY(SELECT DISTINCT node::text FROM changed WHERE state = 'executing') AS nodes,
  ARRAY(SELECT id FROM changed WHERE state <> 'executing' AND awaited) AS ended
