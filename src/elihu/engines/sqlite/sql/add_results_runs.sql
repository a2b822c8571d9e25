-- The runs of those of add_results.sql that have no value, as exchange_runs.sql writes them. A run
-- with log lines exists already.
INSERT INTO run (job_id, claim, attempt, node, started_at, ended_at, outcome, reason, error_type)
SELECT job.id, job.claim, job.attempt, job.node, job.started_at, job.finished_at, 'completed', v.value ->> 3, v.value ->> 4
FROM json_each(:results) v CROSS JOIN job
WHERE v.value ->> 4 IS NOT NULL AND job.id = v.value ->> 0 AND job.claim = v.value ->> 1 AND job.state = v.value ->> 5
  AND job.awaited AND job.result IS NULL AND job.reason = v.value ->> 3
ON CONFLICT (job_id, claim) DO UPDATE SET reason = excluded.reason, error_type = excluded.error_type
