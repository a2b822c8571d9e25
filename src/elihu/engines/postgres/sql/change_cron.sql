-- Change entry $1 if it still has revision $2: the values in $3 are added to its changes (NULL
-- removes all changes), $4 paused. With $5 the entry has missed no occurrence.
UPDATE elihu.cron SET
  changes = CASE WHEN $3::text IS NULL THEN '{}' ELSE changes || $3::text::jsonb END,
  paused = $4,
  last_tick = CASE WHEN $5::boolean THEN now() ELSE last_tick END,
  rev = rev + 1,
  updated_at = now()
WHERE name = $1 AND rev = $2
RETURNING name
