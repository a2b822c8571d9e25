-- Settle the entry up to :until. :fired_at and :job_id are of its newest tick, NULL where none was
-- fired.
UPDATE cron SET last_tick = :until, fired_at = coalesce(:fired_at, fired_at), job_id = coalesce(:job_id, job_id) WHERE name = :name
