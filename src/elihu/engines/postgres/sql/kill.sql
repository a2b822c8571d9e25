-- Mark executing jobs: at most $3 with ids above $1 and up to $2. Rows are locked by id, so that
-- two such statements do not deadlock. An intent that is set already stays. The node that runs a
-- job ends its attempt.
WITH picked AS MATERIALIZED (
  SELECT id FROM elihu.job
  WHERE id > $1::bigint AND id <= $2::bigint /* filter */ AND intent IS NULL
  ORDER BY id
  LIMIT $3::integer
  FOR NO KEY UPDATE
), changed AS (
  UPDATE elihu.job SET intent = 'kill' WHERE id = ANY(ARRAY(SELECT id FROM picked)) RETURNING node
)
SELECT (SELECT count(*) FROM picked) AS seen, (SELECT max(id) FROM picked) AS last, (SELECT count(*) FROM changed) AS changed,
  '{}'::text[] AS queues, ARRAY(SELECT DISTINCT node::text FROM changed) AS nodes
