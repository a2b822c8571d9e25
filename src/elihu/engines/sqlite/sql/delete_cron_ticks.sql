-- Remove the ticks of an entry that is gone.
DELETE FROM cron_tick WHERE cron = :name AND NOT EXISTS (SELECT 1 FROM cron WHERE name = :name)
