-- The job with identifier $1.
SELECT /* job columns */
FROM elihu.job
WHERE identifier = $1
