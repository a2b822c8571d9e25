-- The jobs that have not ended, oldest first, as the caller's transaction sees them: at most 10,000
-- with ids above that in a JSON array, each in one column of text.
SELECT json_array(/* job columns as text */)
FROM job
WHERE state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable') AND id > (? ->> 0)
ORDER BY id
LIMIT 10000
