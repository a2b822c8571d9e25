-- Mark executing jobs; their node ends them.
UPDATE job SET intent = 'cancel' WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'executing'
