-- Take or renew leadership for $2 seconds of the database's clock. The holder gets it at any time,
-- others when the lease has ended. now() is the statement's start: waiting for a lock only shortens
-- the lease.
INSERT INTO elihu.leader AS l (node, expires_at) VALUES ($1::uuid, now() + make_interval(secs => $2::float8))
ON CONFLICT (single) DO UPDATE SET
  node = excluded.node,
  expires_at = excluded.expires_at,
  elected_at = CASE WHEN l.node = excluded.node THEN l.elected_at ELSE now() END
WHERE l.node = excluded.node OR l.expires_at <= now() OR NOT EXISTS (SELECT 1 FROM elihu.node n WHERE n.id = l.node)
RETURNING node
