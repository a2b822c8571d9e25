-- The jobs that have the identifiers $1, a JSON array, as a caller's transaction sees them. IS NOT NULL is the condition of job_identifier: an
-- array does not imply it.
SELECT json_build_array(id, state, identifier)::text FROM elihu.job
WHERE identifier = ANY(ARRAY(SELECT json_array_elements_text(CAST(CAST($1 AS text) AS json)))) AND identifier IS NOT NULL
