-- The jobs that hold the unique keys :keys (a JSON array). Asked under the write lock before the
-- insert, so that no conflict has to be caught, unlike on PostgreSQL. The condition is that of the
-- index job_unique, word for word, so that the planner uses it.
SELECT json_group_array(json_array(unique_key, id, state, CAST(inserted_at * 1000000.0 + 0.5 AS INTEGER), CAST(scheduled_at * 1000000.0 + 0.5 AS INTEGER), queue))
FROM job
WHERE unique_key IN (SELECT value FROM json_each(:keys)) AND unique_key IS NOT NULL AND (unique_scope = 2
  OR state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable') OR (unique_scope = 1 AND state = 'completed'))
