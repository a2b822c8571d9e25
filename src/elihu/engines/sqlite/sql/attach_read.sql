-- The jobs :ids under the same lock. The last column is the claim above which the ends of attempts
-- count for a wait that begins now.
SELECT /* job columns */,
  claim - (state = 'executing')
FROM job
WHERE id IN (SELECT value FROM json_each(:ids))
