-- The runs of the ends, written before exchange_ack.sql releases the guard. A plain completion is
-- read from the job row. A job that waited in its node was claimed at started_at. A run that exists is of
-- an earlier job with this id, whose table was emptied or restored alone: the new one replaces it.
INSERT INTO run (job_id, claim, attempt, node, started_at, ended_at, outcome, reason, error, traceback, log, error_type)
SELECT job.id, job.claim, job.attempt, job.node,
  CASE WHEN e.waited > 0.0 AND job.ahead = job.claim THEN round((job.started_at + e.waited) * 1000000.0) / 1000000.0 ELSE job.started_at END,
  :now, e.outcome, e.reason, e.error, e.traceback, e.log, e.error_type
FROM temp.ending e CROSS JOIN job
WHERE (e.outcome <> 'completed' OR e.log IS NOT NULL OR e.error_type IS NOT NULL)
  AND job.id = e.id AND job.claim = e.claim AND job.node = e.node AND job.state = e.held
ON CONFLICT (job_id, claim) DO UPDATE SET attempt = excluded.attempt, node = excluded.node, started_at = excluded.started_at,
  ended_at = excluded.ended_at, outcome = excluded.outcome, reason = excluded.reason, error = excluded.error,
  traceback = excluded.traceback, log = excluded.log, error_type = excluded.error_type
