-- Store an entry made at run time: $1 name, $2 values, $3 paused. No row comes back if the name is
-- taken.
INSERT INTO elihu.cron (name, changes, paused) VALUES ($1, $2::text::jsonb, $3) ON CONFLICT (name) DO NOTHING RETURNING name
