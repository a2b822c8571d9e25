-- Remove entry $1 if it is still of revision $2, with its ticks.
WITH gone AS (
  DELETE FROM elihu.cron WHERE name = $1 AND rev = $2 RETURNING name
), ticks AS (
  DELETE FROM elihu.cron_tick WHERE cron IN (SELECT name FROM gone)
)
SELECT name FROM gone
