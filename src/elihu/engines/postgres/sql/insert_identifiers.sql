-- The jobs with the identifiers $1. IS NOT NULL is the condition of the index job_identifier, which
-- an array does not imply.
SELECT id, state, identifier FROM elihu.job WHERE identifier = ANY($1::text[]) AND identifier IS NOT NULL
