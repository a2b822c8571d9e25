-- Mark what executes: at most $3 jobs above id $1 and up to $2, locked by id so that two such statements do not deadlock. A wish that stands
-- already, to cancel above all, is left as it is; the node that runs a job ends its attempt.
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
