-- The jobs whose node is no more: at most $1, in the order of job_running.
SELECT id FROM elihu.job j
WHERE state = 'executing' AND NOT EXISTS (SELECT 1 FROM elihu.node n WHERE n.id = j.node)
ORDER BY node, id
LIMIT $1::integer
