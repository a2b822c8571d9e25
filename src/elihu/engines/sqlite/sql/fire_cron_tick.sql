-- Store a fired tick and its job.
INSERT INTO cron_tick (cron, at, job_id, inserted_at) VALUES (:name, :at, :job_id, :now)
