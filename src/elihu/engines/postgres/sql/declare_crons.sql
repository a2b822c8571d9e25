-- Write the declarations of a node's code: names $1, values $2, digests $3. Only a row that differs
-- is written. A declaration that was seen before the stored one replaces it only if no node with a
-- heartbeat in the last $4 seconds declares the stored one: an old node that restarts during a
-- release does not roll it back.
-- Where the cron expression or the time zone changes, the entry has missed no occurrence. In order
-- of name: two nodes that start at the same time lock in the same order.
INSERT INTO elihu.cron AS c (name, declared, digest, digests)
SELECT name, declared::jsonb, digest, ARRAY[digest]
FROM unnest($1::text[], $2::text[], $3::text[]) AS s(name, declared, digest)
ORDER BY name
ON CONFLICT (name) DO UPDATE SET
  declared = excluded.declared,
  digest = excluded.digest,
  digests = CASE
    WHEN excluded.digest = ANY (c.digests) THEN c.digests
    ELSE c.digests[greatest(cardinality(c.digests) - 98, 1):] || excluded.digest END,
  rev = c.rev + 1,
  updated_at = now(),
  last_tick = CASE
    WHEN (coalesce(c.declared, '{}') || c.changes) -> 'cron' = (excluded.declared || c.changes) -> 'cron'
      AND (coalesce(c.declared, '{}') || c.changes) -> 'tz' = (excluded.declared || c.changes) -> 'tz' THEN c.last_tick
    ELSE now() END
WHERE c.digest IS DISTINCT FROM excluded.digest
  AND (c.digest IS NULL
    OR NOT excluded.digest = ANY (c.digests)
    OR array_position(c.digests, excluded.digest) > array_position(c.digests, c.digest)
    OR NOT (c.name, c.digest) IN (
      SELECT d.key, d.value
      FROM elihu.node n,
        json_each_text(CASE json_typeof(n.info -> 'crons') WHEN 'object' THEN n.info -> 'crons' ELSE '{}' END) AS d
      WHERE d.value IS NOT NULL AND n.beat_at >= now() - make_interval(secs => $4::float8)))
