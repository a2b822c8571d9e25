-- Write what a node's code declares of entry :name. Only a row that differs is written. A
-- declaration that was seen before the stored one replaces it only if no node declares the stored
-- one that is not in :dead (a JSON array): an old node that restarts during a release does not roll
-- it back. Where the cron expression or the time zone changes, the entry has missed no occurrence.
INSERT INTO cron (name, declared, digest, digests, last_tick, created_at, updated_at)
VALUES (:name, :declared, :digest, json_array(:digest), :now, :now, :now)
ON CONFLICT (name) DO UPDATE SET
  declared = excluded.declared,
  digest = excluded.digest,
  digests = CASE
    WHEN EXISTS (SELECT 1 FROM json_each(digests) WHERE value = excluded.digest) THEN digests
    WHEN json_array_length(digests) < 100 THEN json_insert(digests, '$[#]', excluded.digest)
    ELSE json_insert(json_remove(digests, '$[0]'), '$[#]', excluded.digest) END,
  rev = rev + 1,
  updated_at = :now,
  last_tick = CASE
    WHEN json_extract(json_patch(coalesce(declared, '{}'), changes), '$.cron') = json_extract(json_patch(excluded.declared, changes), '$.cron')
      AND json_extract(json_patch(coalesce(declared, '{}'), changes), '$.tz') = json_extract(json_patch(excluded.declared, changes), '$.tz')
    THEN last_tick
    ELSE :now END
WHERE digest IS NOT excluded.digest
  AND (digest IS NULL
    OR NOT EXISTS (SELECT 1 FROM json_each(digests) WHERE value = excluded.digest)
    OR (SELECT key FROM json_each(digests) WHERE value = excluded.digest) > (SELECT key FROM json_each(digests) WHERE value = digest)
    OR NOT EXISTS (
      SELECT 1 FROM node n, json_each(n.info, '$.crons') e
      WHERE e.key = cron.name AND e.value = cron.digest
        AND n.id NOT IN (SELECT value FROM json_each(:dead))))
