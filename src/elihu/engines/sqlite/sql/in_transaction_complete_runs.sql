-- The runs of attempts that in_transaction_complete.sql ended, of those that have more than a plain completion. A failed one,
-- whose error was handled in this transaction, has a run in any case.
INSERT INTO run (job_id, claim, attempt, node, started_at, ended_at, outcome, reason, error, traceback, log, error_type)
SELECT job.id, job.claim, job.attempt, job.node, job.started_at, job.finished_at, given.body ->> 'outcome', job.reason,
  given.body ->> 'error', given.body ->> 'traceback', given.body ->> 'log',
  CASE WHEN job.awaited OR given.body ->> 'wanted' OR given.body ->> 'outcome' <> 'completed' THEN given.body ->> 'error_type' END
FROM (SELECT value AS body FROM json_each(?)) AS given CROSS JOIN job
WHERE job.id = given.body ->> 'id'
  AND (given.body ->> 'log' IS NOT NULL OR given.body ->> 'outcome' <> 'completed' OR job.awaited OR given.body ->> 'wanted')
