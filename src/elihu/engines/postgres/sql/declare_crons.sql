-- What a node's code declares: names $1, values $2. Only a row that differs is written. Where text or zone come to something else, the
-- entry begins anew: of times that it did not have, it has missed none. By name: two nodes that start at once lock in one order.
INSERT INTO elihu.cron AS c (name, declared)
SELECT name, declared::jsonb FROM unnest($1::text[], $2::text[]) AS s(name, declared) ORDER BY name
ON CONFLICT (name) DO UPDATE SET
  declared = excluded.declared,
  rev = c.rev + 1,
  updated_at = now(),
  last_tick = CASE
    WHEN (coalesce(c.declared, '{}') || c.changes) -> 'cron' = (excluded.declared || c.changes) -> 'cron'
      AND (coalesce(c.declared, '{}') || c.changes) -> 'tz' = (excluded.declared || c.changes) -> 'tz' THEN c.last_tick
    ELSE now() END
WHERE c.declared IS DISTINCT FROM excluded.declared
