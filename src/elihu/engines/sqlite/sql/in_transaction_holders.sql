-- The jobs that hold the unique keys in a JSON array, in one column of text. The condition is that
-- of the index job_unique, word for word, so that the planner uses it.
SELECT json_array(/* job columns as text */)
FROM job
WHERE unique_key IN (SELECT value FROM json_each(?)) AND unique_key IS NOT NULL AND (unique_scope = 2
  OR state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable') OR (unique_scope = 1 AND state = 'completed'))
