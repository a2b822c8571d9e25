-- The ticks of entry :name up to :until that have been fired, though it is not settled so far.
SELECT at FROM cron_tick WHERE cron = :name AND at > :last_tick AND at <= :until
