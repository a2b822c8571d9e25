-- The runs of the ends, written before exchange_ack.sql releases the guard. A plain completion is
-- read from the job row.
INSERT INTO run (job_id, claim, attempt, node, started_at, ended_at, outcome, reason, error, traceback, log, error_type)
SELECT job.id, job.claim, job.attempt, job.node, job.started_at, :now, e.outcome, e.reason, e.error, e.traceback, e.log, e.error_type
FROM temp.ending e CROSS JOIN job
WHERE (e.outcome <> 'completed' OR e.log IS NOT NULL OR e.error_type IS NOT NULL)
  AND job.id = e.id AND job.claim = e.claim AND job.node = e.node AND job.state = e.held
