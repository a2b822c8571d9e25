-- The id that these tables were given when they were made.
SELECT value FROM elihu.meta WHERE key = 'installation_id'
