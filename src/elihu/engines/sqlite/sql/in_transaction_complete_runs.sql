-- The run of an attempt that in_transaction_complete.sql completed, where it has a log or an
-- error.
INSERT INTO run (job_id, claim, attempt, node, started_at, ended_at, outcome, reason, log, error_type)
SELECT job.id, job.claim, job.attempt, job.node, job.started_at, job.finished_at, 'completed', job.reason, given.body ->> 'log',
  CASE WHEN job.awaited OR given.body ->> 'wanted' THEN given.body ->> 'error_type' END
FROM (SELECT ? AS body) AS given CROSS JOIN job
WHERE job.id = given.body ->> 'id' AND (given.body ->> 'log' IS NOT NULL OR job.awaited OR given.body ->> 'wanted')
