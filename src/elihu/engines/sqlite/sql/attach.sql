-- Mark the jobs :ids as awaited.
UPDATE job SET awaited = 1 WHERE id IN (SELECT value FROM json_each(:ids)) AND NOT awaited
