-- The jobs that hold the unique keys $1. The condition repeats that of the index job_unique, so
-- that the planner uses it and jobs whose uniqueness has ended are not found.
SELECT id, state, inserted_at, scheduled_at, unique_key
FROM elihu.job
WHERE unique_key = ANY($1::bytea[]) AND unique_key IS NOT NULL AND (unique_scope = 2
  OR state IN ('suspended','scheduled','available','executing','retryable') OR (unique_scope = 1 AND state = 'completed'))
