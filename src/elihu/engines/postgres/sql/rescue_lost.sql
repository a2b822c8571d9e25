-- The ids of at most $1 jobs whose node no longer has a row.
WITH RECURSIVE executing(node) AS (
  (SELECT node FROM elihu.job WHERE state = 'executing' ORDER BY node LIMIT 1)
  UNION ALL
  SELECT (SELECT j.node FROM elihu.job j WHERE j.state = 'executing' AND j.node > e.node ORDER BY j.node LIMIT 1)
  FROM executing e
  WHERE e.node IS NOT NULL
), dead AS MATERIALIZED (
  SELECT node FROM executing e
  WHERE node IS NOT NULL AND NOT EXISTS (SELECT 1 FROM elihu.node n WHERE n.id = e.node)
)
SELECT id FROM elihu.job
WHERE state = 'executing' AND node = ANY(ARRAY(SELECT node FROM dead))
ORDER BY node, id
LIMIT $1::integer
