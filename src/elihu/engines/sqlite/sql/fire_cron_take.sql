-- Whether entry :name is as it was read. Called under the write lock.
SELECT 1 FROM cron WHERE name = :name AND rev = :rev AND min(max(last_tick, -62103974400.0), 253370592000.0) = :last_tick AND NOT paused
