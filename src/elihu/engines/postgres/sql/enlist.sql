-- A new node: $1 id, $2 name, $3 info. It is the first, and @reboot is due, where no node has given a sign of life for $4 seconds.
WITH booted AS (
  INSERT INTO elihu.boot (at)
  SELECT now() WHERE NOT EXISTS (SELECT FROM elihu.node WHERE beat_at > now() - make_interval(secs => $4::float8))
  ON CONFLICT (single) DO UPDATE SET at = excluded.at
)
INSERT INTO elihu.node (id, name, info) VALUES ($1::uuid, $2, $3::json)
