-- All cron entries by name, or with :names (a JSON array) only those. An entry is live while a
-- node says that its code declares it.
SELECT c.name, c.declared, c.changes, c.paused, c.rev, c.last_tick, c.fired_at, c.job_id, c.created_at, c.updated_at,
  EXISTS (SELECT 1 FROM node n, json_each(n.info, '$.crons') e WHERE e.value = c.name)
FROM cron c
WHERE :names IS NULL OR c.name IN (SELECT value FROM json_each(:names))
ORDER BY c.name
