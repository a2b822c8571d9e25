-- Mark what executes; its node ends it.
UPDATE job SET intent = 'kill' WHERE id IN (SELECT value FROM json_each(:ids))
