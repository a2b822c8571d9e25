-- The jobs that have not ended, oldest first, as the caller's transaction sees them: at most 10,000
-- with ids above that in $1, a JSON array. Each row is one column of text, see in_transaction_insert.sql.
SELECT json_build_array(/* job columns as text */)::text
FROM elihu.job
WHERE state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable') AND id > (CAST(CAST($1 AS text) AS json) ->> 0)::bigint
ORDER BY id
LIMIT 10000
