-- The first of the jobs that have the identifiers :identifiers (a JSON array). The planner needs
-- the condition of job_identifier, IS NOT NULL, to use it.
SELECT id, state, identifier FROM job WHERE identifier IN (SELECT value FROM json_each(:identifiers)) AND identifier IS NOT NULL ORDER BY id LIMIT 1
