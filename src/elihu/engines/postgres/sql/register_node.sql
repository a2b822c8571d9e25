-- Store a new node: $1 id, $2 name, $3 info. It is a first node, so that @reboot is due, if no
-- other one has had a heartbeat for $4 seconds. Nodes of a single tick ("once") neither are first
-- nodes nor count as alive.
WITH booted AS (
  INSERT INTO elihu.boot (at)
  SELECT now()
  WHERE $3::json->>'once' IS NULL
    AND NOT EXISTS (SELECT FROM elihu.node WHERE beat_at > now() - make_interval(secs => $4::float8) AND info->>'once' IS NULL)
  ON CONFLICT (single) DO UPDATE SET at = excluded.at
)
INSERT INTO elihu.node (id, name, info) VALUES ($1::uuid, $2, $3::json)
