-- Mark what executes; its node ends it.
UPDATE job SET intent = 'cancel' WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'executing'
