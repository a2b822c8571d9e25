-- All cron entries by name, those of names $1 only where it is not NULL, with the database's clock and the last start of a first node.
-- An entry lives while a node says that its code declares it; one row at least, so that the clock comes back without entries too.
SELECT now() AS now, (SELECT at FROM elihu.boot) AS booted_at, c.name, c.declared::text AS declared, c.changes::text AS changes, c.paused,
  c.rev, c.last_tick, c.fired_at, c.job_id, c.created_at, c.updated_at,
  EXISTS (
    SELECT FROM elihu.node n
    WHERE json_typeof(n.info -> 'crons') = 'array' AND c.name IN (SELECT json_array_elements_text(n.info -> 'crons'))) AS live
FROM (SELECT) one LEFT JOIN elihu.cron c ON $1::text[] IS NULL OR c.name = ANY($1)
ORDER BY c.name
