-- The jobs that have the identifiers in a JSON array. The planner needs the condition of
-- job_identifier, IS NOT NULL, to use it.
SELECT json_array(id, state, identifier) FROM job WHERE identifier IN (SELECT value FROM json_each(?)) AND identifier IS NOT NULL ORDER BY id
