-- What changes when a cron entry does.
SELECT name, rev, paused, last_tick FROM cron ORDER BY name
