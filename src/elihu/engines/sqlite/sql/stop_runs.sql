-- The run of the job that stop.sql is about to take from its node.
INSERT INTO run (job_id, claim, attempt, node, started_at, ended_at, outcome)
SELECT id, claim, attempt, node, started_at, :now, 'stopped' FROM job WHERE id = :id AND state = 'executing'
ON CONFLICT (job_id, claim) DO NOTHING
