-- The start of a first node. Its time is later than last_tick of every entry, which whole
-- milliseconds alone do not ensure.
INSERT INTO boot (single, at)
SELECT 1, max(:now, coalesce((SELECT max(last_tick) FROM cron WHERE last_tick <= :now) + 0.001, :now)) WHERE true
ON CONFLICT (single) DO UPDATE SET at = excluded.at
