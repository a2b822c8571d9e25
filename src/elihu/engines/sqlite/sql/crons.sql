-- Cron entries by name: all, or those named in :names (a JSON array). An entry is live while a node
-- declares it that is not in :dead (another): the lists of the nodes are expanded once. last_tick is
-- clamped to the years that cron expressions cover.
SELECT c.name, c.declared, c.changes, c.paused, c.rev,
  min(max(c.last_tick, -62103974400.0), 253370592000.0),
  c.fired_at,
  c.job_id,
  c.created_at,
  c.updated_at,
  c.name IN (
    SELECT e.key FROM node n, json_each(n.info, '$.crons') e
    WHERE n.id NOT IN (SELECT value FROM json_each(:dead)))
FROM cron c
WHERE :names IS NULL OR c.name IN (SELECT value FROM json_each(:names))
ORDER BY c.name
