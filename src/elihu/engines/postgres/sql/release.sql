-- Release at most $3 suspended jobs with ids above $1 and up to $2. Their times decide between
-- available and scheduled. Rows are locked by id.
WITH picked AS MATERIALIZED (
  SELECT id FROM elihu.job
  WHERE id > $1::bigint AND id <= $2::bigint /* filter */
  ORDER BY id
  LIMIT $3::integer
  FOR NO KEY UPDATE
), changed AS (
  UPDATE elihu.job SET state = CASE WHEN scheduled_at > now() THEN 'scheduled' ELSE 'available' END
  WHERE id = ANY(ARRAY(SELECT id FROM picked))
  RETURNING queue, state
)
SELECT (SELECT count(*) FROM picked) AS seen, (SELECT max(id) FROM picked) AS last, (SELECT count(*) FROM changed) AS changed,
  ARRAY(SELECT DISTINCT queue FROM changed WHERE state = 'available') AS queues, '{}'::text[] AS nodes
