-- Their runs.
INSERT INTO run (job_id, claim, attempt, node, started_at, ended_at, outcome, reason)
SELECT job.id, job.claim, job.attempt, job.node, job.started_at, :now, 'returned', 'the answer to its fetch was lost'
FROM json_each(:ids) i CROSS JOIN job ON job.id = i.value
WHERE true
ON CONFLICT (job_id, claim) DO NOTHING
