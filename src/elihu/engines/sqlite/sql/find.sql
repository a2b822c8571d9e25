-- A page of jobs, newest first.
SELECT /* job columns */
FROM job
WHERE id < :after AND {where}
ORDER BY id DESC
LIMIT :limit
