-- Note in the job :id, just inserted by a cron entry, the time of its tick.
UPDATE job SET occurrence = scheduled_at WHERE id = :id
