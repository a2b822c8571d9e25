-- Mark the jobs $1 as awaited, and read them; since is the claim after which ends count for whoever begins to wait now.
-- It waits for no row lock: a job that somebody's open transaction holds does not come back, and one that is gone neither.
-- The rows are read as they were before: a fetch or an end that came between has a claim that counts.
WITH marked AS (
  UPDATE elihu.job SET awaited = true
  WHERE id = ANY(ARRAY(SELECT id FROM elihu.job WHERE id = ANY($1::bigint[]) AND NOT awaited ORDER BY id FOR NO KEY UPDATE SKIP LOCKED))
  RETURNING id
)
SELECT /* job columns */,
  claim - (state = 'executing')::integer AS since
FROM elihu.job
WHERE id = ANY($1::bigint[]) AND (awaited OR id IN (SELECT id FROM marked))
