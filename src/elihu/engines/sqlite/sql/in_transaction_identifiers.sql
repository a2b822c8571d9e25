-- The jobs that have the identifiers in a JSON array. IS NOT NULL is the condition of job_identifier, without which the planner cannot use it.
SELECT json_array(id, state, identifier) FROM job WHERE identifier IN (SELECT value FROM json_each(?)) AND identifier IS NOT NULL ORDER BY id
