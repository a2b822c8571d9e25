-- One job.
SELECT /* job columns */
FROM job
WHERE id = :id
