-- The first of the jobs that have the identifiers :identifiers (a JSON array). IS NOT NULL is the condition of
-- job_identifier, without which the planner cannot use it.
SELECT id, state, identifier FROM job WHERE identifier IN (SELECT value FROM json_each(:identifiers)) AND identifier IS NOT NULL ORDER BY id LIMIT 1
