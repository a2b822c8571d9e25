-- Cancel waiting jobs.
UPDATE job SET state = 'cancelled', reason = 'cancelled', intent = NULL, finished_at = :now
WHERE id IN (SELECT value FROM json_each(:ids)) AND state <> 'executing'
