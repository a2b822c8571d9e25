-- The job that has an identifier.
SELECT /* job columns */
FROM job
WHERE identifier = :identifier
