-- The database's time, and a time before every available job of priority 0 in queue $1. It reads
-- the first entry of job_fetch.
SELECT now() AS now, least(now(), (
  SELECT scheduled_at FROM elihu.job WHERE state = 'available' AND queue = $1 AND priority = 0 ORDER BY scheduled_at LIMIT 1
) - interval '1 microsecond') AS before_all
