-- Delete jobs. Their runs go by a trigger.
DELETE FROM job WHERE id IN (SELECT value FROM json_each(:ids))
