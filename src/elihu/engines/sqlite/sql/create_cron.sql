-- Store an entry made at run time. No row is written where the name is taken.
INSERT INTO cron (name, changes, paused, last_tick, created_at, updated_at) VALUES (:name, :changes, :paused, :now, :now, :now)
ON CONFLICT (name) DO NOTHING
