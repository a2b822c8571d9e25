-- The first job of a piece of retry whose unique key another job holds, or shares with another job
-- of the piece. The condition repeats that of the index job_unique, so that the planner uses it.
WITH picked AS MATERIALIZED (
  SELECT id, unique_key FROM elihu.job
  WHERE id > $1::bigint AND id <= $2::bigint /* filter */
  ORDER BY id
  LIMIT $3::integer
)
SELECT p.id, t.id AS holder
FROM picked p
JOIN elihu.job t ON t.unique_key = p.unique_key AND t.id <> p.id
WHERE t.unique_key IS NOT NULL AND (t.unique_scope = 2
  OR t.state IN ('suspended','scheduled','available','executing','retryable') OR (t.unique_scope = 1 AND t.state = 'completed'))
UNION ALL
SELECT p.id, o.id FROM picked p JOIN picked o ON o.unique_key = p.unique_key AND o.id < p.id
ORDER BY 1, 2
LIMIT 1
