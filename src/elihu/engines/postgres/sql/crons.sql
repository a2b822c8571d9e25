-- Cron entries by name: all, or those named in $1. Each row has the database's time and the start
-- of the first node; without entries one row comes back that has nothing else. An entry is live
-- while a node declares it that has sent a heartbeat in the last $2 seconds: the lists of the nodes
-- are expanded once. last_tick is clamped to the years that cron expressions cover.
WITH live AS MATERIALIZED (
  SELECT DISTINCT d.name
  FROM elihu.node n,
    json_object_keys(CASE json_typeof(n.info -> 'crons') WHEN 'object' THEN n.info -> 'crons' ELSE '{}' END) AS d(name)
  WHERE n.beat_at >= now() - make_interval(secs => $2::float8)
)
SELECT now() AS now, (SELECT at FROM elihu.boot) AS booted_at, c.name, c.declared::text AS declared, c.changes::text AS changes, c.paused,
  c.rev,
  least(greatest(c.last_tick, '0002-01-02Z'), '9998-12-30Z') AS last_tick,
  c.fired_at,
  c.job_id,
  c.created_at,
  c.updated_at,
  live.name IS NOT NULL AS live
FROM (SELECT) one
  LEFT JOIN elihu.cron c ON $1::text[] IS NULL OR c.name = ANY($1)
  LEFT JOIN live ON live.name = c.name
ORDER BY c.name
