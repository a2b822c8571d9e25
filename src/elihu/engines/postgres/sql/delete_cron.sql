-- Remove entry $1 and its ticks if it still has revision $2.
WITH gone AS (
  DELETE FROM elihu.cron WHERE name = $1 AND rev = $2 RETURNING name
), ticks AS (
  DELETE FROM elihu.cron_tick WHERE cron IN (SELECT name FROM gone)
)
SELECT name FROM gone
