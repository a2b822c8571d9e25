-- The orphaned runs of the jobs :ids. A run that exists already is left alone, so that one bad row
-- stops nothing.
INSERT INTO run (job_id, claim, attempt, node, started_at, ended_at, outcome)
SELECT job.id, job.claim, job.attempt, job.node, job.started_at, :now, 'orphaned'
FROM json_each(:ids) i CROSS JOIN job ON job.id = i.value
WHERE true
ON CONFLICT (job_id, claim) DO NOTHING
