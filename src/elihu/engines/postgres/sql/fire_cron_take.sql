-- Lock entry $1 for a transaction that fires its ticks. The row comes back only if it still has
-- revision $2, is settled up to $3 and is not paused: of two leaders the second one finds it
-- changed. fired lists the ticks up to $4 that were fired already.
SELECT ARRAY(SELECT at FROM elihu.cron_tick WHERE cron = $1 AND at > $3 AND at <= $4) AS fired
FROM elihu.cron
WHERE name = $1 AND rev = $2 AND least(greatest(last_tick, '0002-01-02Z'), '9998-12-30Z') = $3 AND NOT paused
FOR NO KEY UPDATE
