-- Remove job $1 and its runs where it does not execute.
WITH changed AS (
  DELETE FROM elihu.job WHERE id = $1 AND state <> 'executing' RETURNING id, awaited
), runs AS (
  DELETE FROM elihu.run WHERE job_id IN (SELECT id FROM changed)
)
SELECT id, awaited FROM changed
