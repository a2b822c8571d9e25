-- Job $1.
SELECT /* job columns */
FROM elihu.job
WHERE id = $1
