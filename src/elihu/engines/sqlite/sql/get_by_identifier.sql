-- The job with an identifier.
SELECT /* job columns */
FROM job
WHERE identifier = :identifier
