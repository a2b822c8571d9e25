-- The jobs :ids under the same lock; the last column is the claim after which ends count for whoever begins to wait now.
SELECT /* job columns */,
  claim - (state = 'executing')
FROM job
WHERE id IN (SELECT value FROM json_each(:ids))
