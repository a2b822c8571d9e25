-- The nodes, and how many jobs each executes. The leader is in the lock file.
SELECT id, name, started_at, info,
  (SELECT count(*) FROM job WHERE job.state = 'executing' AND job.node = node.id)
FROM node ORDER BY started_at, id
