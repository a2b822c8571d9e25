-- The jobs with the identifiers $1, a JSON array, in a caller's transaction. IS NOT NULL is the
-- condition of the index job_identifier, which an array does not imply.
SELECT json_build_array(id, state, identifier)::text FROM elihu.job
WHERE identifier = ANY(ARRAY(SELECT json_array_elements_text(CAST(CAST($1 AS text) AS json)))) AND identifier IS NOT NULL
