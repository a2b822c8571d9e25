-- Remove entry :name if its revision is :rev.
DELETE FROM cron WHERE name = :name AND rev = :rev
