-- Change entry :name if its revision is :rev. :changes is merged into its changes (NULL: they are
-- removed). With :anew the entry has missed no tick. json_patch() takes a null as a removal and
-- merges objects; no value here is either.
UPDATE cron SET
  changes = CASE WHEN :changes IS NULL THEN '{}' ELSE json_patch(changes, :changes) END,
  paused = :paused,
  last_tick = CASE WHEN :anew THEN :now ELSE last_tick END,
  rev = rev + 1,
  updated_at = :now
WHERE name = :name AND rev = :rev
