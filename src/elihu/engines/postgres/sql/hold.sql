-- Suspend at most $3 jobs with ids above $1 and up to $2. Rows are locked by id.
WITH picked AS MATERIALIZED (
  SELECT id FROM elihu.job
  WHERE id > $1::bigint AND id <= $2::bigint /* filter */
  ORDER BY id
  LIMIT $3::integer
  FOR NO KEY UPDATE
), changed AS (
  UPDATE elihu.job SET state = 'suspended' WHERE id = ANY(ARRAY(SELECT id FROM picked)) RETURNING id
)
SELECT (SELECT count(*) FROM picked) AS seen, (SELECT max(id) FROM picked) AS last, (SELECT count(*) FROM changed) AS changed,
  '{}'::text[] AS queues, '{}'::text[] AS nodes
