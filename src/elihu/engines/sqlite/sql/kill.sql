-- Mark executing jobs; their node ends them.
UPDATE job SET intent = 'kill' WHERE id IN (SELECT value FROM json_each(:ids))
