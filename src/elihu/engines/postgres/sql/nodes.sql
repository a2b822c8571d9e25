-- The nodes, oldest first, each with the number of jobs that it executes, and whether its last
-- heartbeat is more than $1 seconds ago by the database's clock.
SELECT n.id::text AS id, n.name, n.started_at, n.beat_at, n.info,
  EXISTS (SELECT 1 FROM elihu.leader l WHERE l.node = n.id AND l.expires_at > now()) AS leader,
  (SELECT count(*) FROM elihu.job j WHERE j.state = 'executing' AND j.node = n.id) AS running,
  n.beat_at < now() - make_interval(secs => $1::float8) AS dead
FROM elihu.node n
ORDER BY n.started_at, n.id
