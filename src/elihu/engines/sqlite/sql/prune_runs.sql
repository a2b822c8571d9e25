-- Remove the runs of jobs that are gone.
DELETE FROM run WHERE job_id IN (SELECT value FROM json_each(:ids)) AND NOT EXISTS (SELECT 1 FROM job WHERE job.id = run.job_id)
