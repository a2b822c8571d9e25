-- Job $1, locked.
SELECT /* job columns */
FROM elihu.job
WHERE id = $1
FOR UPDATE
