-- The jobs that have the identifiers $1. IS NOT NULL is the condition of job_identifier: an array does not imply it.
SELECT id, state, identifier FROM elihu.job WHERE identifier = ANY($1::text[]) AND identifier IS NOT NULL
