-- A new node: $1 id, $2 name, $3 info. It is the first, and @reboot is due, where no node has given a sign of life for $4 seconds.
-- Nodes of a single round ("once") come and go all the time: they are no first ones, and are not taken for the living either.
WITH booted AS (
  INSERT INTO elihu.boot (at)
  SELECT now()
  WHERE $3::json->>'once' IS NULL
    AND NOT EXISTS (SELECT FROM elihu.node WHERE beat_at > now() - make_interval(secs => $4::float8) AND info->>'once' IS NULL)
  ON CONFLICT (single) DO UPDATE SET at = excluded.at
)
INSERT INTO elihu.node (id, name, info) VALUES ($1::uuid, $2, $3::json)
