-- Suspend jobs.
UPDATE job SET state = 'suspended' WHERE id IN (SELECT value FROM json_each(:ids))
