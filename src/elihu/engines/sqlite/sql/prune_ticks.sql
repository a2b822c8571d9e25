-- Remove at most :limit ticks that were fired more than :age seconds ago. None is needed, since
-- last_tick of the entry covers them.
DELETE FROM cron_tick WHERE (cron, at) IN (SELECT cron, at FROM cron_tick WHERE inserted_at < :now - :age LIMIT :limit)
