-- What a node's code declares for entry :name. Only a row that differs is written. An entry whose
-- cron text or time zone changes has missed no tick of the new times.
INSERT INTO cron (name, declared, last_tick, created_at, updated_at) VALUES (:name, :declared, :now, :now, :now)
ON CONFLICT (name) DO UPDATE SET
  declared = excluded.declared,
  rev = rev + 1,
  updated_at = :now,
  last_tick = CASE
    WHEN json_extract(json_patch(coalesce(declared, '{}'), changes), '$.cron') = json_extract(json_patch(excluded.declared, changes), '$.cron')
      AND json_extract(json_patch(coalesce(declared, '{}'), changes), '$.tz') = json_extract(json_patch(excluded.declared, changes), '$.tz')
    THEN last_tick
    ELSE :now END
WHERE declared IS NOT excluded.declared
