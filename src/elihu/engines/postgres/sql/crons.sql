-- Cron entries by name: all, or those named in $1. Each row has the database's time and the start
-- of the first node; without entries one row comes back that has nothing else. An entry is live
-- while a node declares it: the lists of the nodes are expanded once. Times that the driver cannot
-- represent are clamped, so that one row does not fail the whole list.
WITH live AS MATERIALIZED (
  SELECT DISTINCT d.name
  FROM elihu.node n,
    json_object_keys(CASE json_typeof(n.info -> 'crons') WHEN 'object' THEN n.info -> 'crons' ELSE '{}' END) AS d(name)
)
SELECT now() AS now, (SELECT at FROM elihu.boot) AS booted_at, c.name, c.declared::text AS declared, c.changes::text AS changes, c.paused,
  c.rev,
  least(greatest(c.last_tick, '0002-01-02Z'), '9998-12-30Z') AS last_tick,
  CASE WHEN c.fired_at IS NOT NULL THEN least(greatest(c.fired_at, '0002-01-02Z'), '9998-12-30Z') END AS fired_at,
  c.job_id,
  least(greatest(c.created_at, '0002-01-02Z'), '9998-12-30Z') AS created_at,
  least(greatest(c.updated_at, '0002-01-02Z'), '9998-12-30Z') AS updated_at,
  live.name IS NOT NULL AS live
FROM (SELECT) one
  LEFT JOIN elihu.cron c ON $1::text[] IS NULL OR c.name = ANY($1)
  LEFT JOIN live ON live.name = c.name
ORDER BY c.name
