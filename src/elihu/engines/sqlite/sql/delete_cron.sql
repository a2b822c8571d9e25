-- Remove entry :name if it is still of revision :rev.
DELETE FROM cron WHERE name = :name AND rev = :rev
