-- A first node starts: later than what any entry is settled up to, since whole milliseconds may not tell the two apart.
INSERT INTO boot (single, at)
SELECT 1, max(:now, coalesce((SELECT max(last_tick) FROM cron WHERE last_tick <= :now) + 0.001, :now)) WHERE true
ON CONFLICT (single) DO UPDATE SET at = excluded.at
