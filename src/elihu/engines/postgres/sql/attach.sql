-- Mark the jobs $1 as awaited and read them. Ends of claims above since count for this wait. Jobs
-- that are gone, or that another transaction locks, do not come back. The rows are read as of the
-- statement's beginning: a later fetch or end has a claim above since.
WITH marked AS (
  UPDATE elihu.job SET awaited = true
  WHERE id = ANY(ARRAY(SELECT id FROM elihu.job WHERE id = ANY($1::bigint[]) AND NOT awaited ORDER BY id FOR NO KEY UPDATE SKIP LOCKED))
  RETURNING id
)
SELECT /* job columns */,
  claim - (state = 'executing')::integer AS since
FROM elihu.job
WHERE id = ANY($1::bigint[]) AND (awaited OR id IN (SELECT id FROM marked))
