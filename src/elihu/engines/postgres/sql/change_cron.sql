-- Change entry $1 if it is still of revision $2: values $3 laid over its changes (NULL: none are
-- left), $4 paused, and with $5 it begins anew.
UPDATE elihu.cron SET
  changes = CASE WHEN $3::text IS NULL THEN '{}' ELSE changes || $3::text::jsonb END,
  paused = $4,
  last_tick = CASE WHEN $5::boolean THEN now() ELSE last_tick END,
  rev = rev + 1,
  updated_at = now()
WHERE name = $1 AND rev = $2
RETURNING name
