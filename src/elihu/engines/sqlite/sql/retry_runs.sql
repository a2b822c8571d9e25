-- A plainly completed attempt, which only the job row shows so far, becomes a run.
INSERT INTO run (job_id, claim, attempt, node, started_at, ended_at, outcome, reason)
SELECT job.id, job.claim, job.attempt, job.node, job.started_at, job.finished_at, 'completed', job.reason
FROM json_each(:ids) i CROSS JOIN job ON job.id = i.value
WHERE job.state = 'completed' AND job.started_at IS NOT NULL
ON CONFLICT (job_id, claim) DO NOTHING
