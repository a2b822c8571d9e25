-- A page of at most $2 jobs with ids below $1, newest first.
SELECT /* job columns */
FROM elihu.job
WHERE id < $1::bigint /* filter */
ORDER BY id DESC
LIMIT $2::integer
