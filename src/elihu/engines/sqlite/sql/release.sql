-- Make suspended jobs available or scheduled, by their time.
UPDATE job SET state = CASE WHEN scheduled_at <= :now THEN 'available' ELSE 'scheduled' END WHERE id IN (SELECT value FROM json_each(:ids))
