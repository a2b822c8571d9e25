-- The nodes, oldest first, each with the number of jobs that it executes.
SELECT n.id::text AS id, n.name, n.started_at, n.beat_at, n.info,
  EXISTS (SELECT 1 FROM elihu.leader l WHERE l.node = n.id AND l.expires_at > now()) AS leader,
  (SELECT count(*) FROM elihu.job j WHERE j.state = 'executing' AND j.node = n.id) AS running
FROM elihu.node n
ORDER BY n.started_at, n.id
