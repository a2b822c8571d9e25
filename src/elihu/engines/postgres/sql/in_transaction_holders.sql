-- The jobs that hold the unique keys $1, a JSON array of them in hexadecimal, as a caller's transaction sees them. The condition is that of
-- the index job_unique, word for word: so it is used. One column of text, as in_transaction_insert.sql.
SELECT json_build_array(id, state, queue, task, args::text, meta::text, to_json(tags)::text, priority, attempt, max_attempts,
  encode(unique_key, 'hex'), CAST(extract(epoch FROM inserted_at) * 1000000 AS bigint),
  CAST(extract(epoch FROM scheduled_at) * 1000000 AS bigint), CAST(extract(epoch FROM started_at) * 1000000 AS bigint),
  CAST(extract(epoch FROM finished_at) * 1000000 AS bigint), reason, result::text, progress::text, node,
  template, identifier, CAST(extract(epoch FROM expires_at) * 1000000 AS bigint))::text
FROM elihu.job
WHERE unique_key = ANY(ARRAY(SELECT decode(key, 'hex') FROM json_array_elements_text(CAST(CAST($1 AS text) AS json)) AS given(key)))
  AND unique_key IS NOT NULL AND (unique_scope = 2
  OR state IN ('suspended','scheduled','available','executing','retryable') OR (unique_scope = 1 AND state = 'completed'))
