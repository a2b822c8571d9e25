-- The ticks of entry :name up to :until that were fired, though the entry is not settled up to
-- there.
SELECT at FROM cron_tick WHERE cron = :name AND at > :last_tick AND at <= :until
