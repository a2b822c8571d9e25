-- The id of these tables, given when they were made.
SELECT value FROM meta WHERE key = 'installation_id'
