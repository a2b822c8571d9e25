-- The jobs that hold the unique keys $1, a JSON array of hexadecimal texts, in a caller's
-- transaction. The condition repeats that of the index job_unique, so that the planner uses it.
-- Each row is one column of text, see in_transaction_insert.sql.
SELECT json_build_array(/* job columns as text */)::text
FROM elihu.job
WHERE unique_key = ANY(ARRAY(SELECT decode(key, 'hex') FROM json_array_elements_text(CAST(CAST($1 AS text) AS json)) AS given(key)))
  AND unique_key IS NOT NULL AND (unique_scope = 2
  OR state IN ('suspended','scheduled','available','executing','retryable') OR (unique_scope = 1 AND state = 'completed'))
