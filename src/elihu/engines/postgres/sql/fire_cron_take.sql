-- The right to fire ticks of entry $1: whoever finds it as it was read, with revision $2 and
-- settled up to $3. The row stays locked to the end of the transaction, so that of two leaders the
-- second finds it changed. Which ticks up to $4 have been fired all the same comes back.
SELECT ARRAY(SELECT at FROM elihu.cron_tick WHERE cron = $1 AND at > $3 AND at <= $4) AS fired
FROM elihu.cron
WHERE name = $1 AND rev = $2 AND least(greatest(last_tick, '0002-01-02Z'), '9998-12-30Z') = $3 AND NOT paused
FOR NO KEY UPDATE
