-- Change entry :name if it is still of revision :rev: :changes laid over its own (NULL: none are left); with :anew it begins anew.
-- json_patch() would take a null as a removal, and merge objects: no value here is either.
UPDATE cron SET
  changes = CASE WHEN :changes IS NULL THEN '{}' ELSE json_patch(changes, :changes) END,
  paused = :paused,
  last_tick = CASE WHEN :anew THEN :now ELSE last_tick END,
  rev = rev + 1,
  updated_at = :now
WHERE name = :name AND rev = :rev
