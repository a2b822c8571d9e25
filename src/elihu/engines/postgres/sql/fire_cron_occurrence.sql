-- Note in the jobs $1, just inserted by a cron entry, the time of their tick.
UPDATE elihu.job SET occurrence = scheduled_at WHERE id = ANY($1::bigint[])
