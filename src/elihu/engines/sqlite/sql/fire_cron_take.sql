-- Whether entry :name is as it was read. Called under the write lock.
SELECT 1 FROM cron WHERE name = :name AND rev = :rev AND last_tick = :last_tick AND NOT paused
