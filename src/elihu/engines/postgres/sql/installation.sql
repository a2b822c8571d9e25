-- The id that the tables got when they were made.
SELECT value FROM elihu.meta WHERE key = 'installation_id'
