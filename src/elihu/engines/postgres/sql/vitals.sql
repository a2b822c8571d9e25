-- The clock, the connections in use and allowed, and the dead and living rows of the table of jobs.
-- pg_stat_database counts connections that this role may not look at, too. A database can have a
-- limit of its own.
SELECT clock_timestamp() AS now,
  CASE WHEN own.datconnlimit >= 0 AND own.datconnlimit < server.most THEN stats.numbackends ELSE server.used END AS connections,
  CASE WHEN own.datconnlimit >= 0 THEN least(own.datconnlimit, server.most) ELSE server.most END AS most_connections,
  rows.n_dead_tup AS dead_rows, rows.n_live_tup AS live_rows
FROM pg_database own
JOIN pg_stat_database stats ON stats.datid = own.oid
CROSS JOIN (SELECT sum(numbackends)::bigint AS used,
  current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer AS most
  FROM pg_stat_database) server
LEFT JOIN pg_stat_all_tables rows ON rows.relid = to_regclass('elihu.job')
WHERE own.datname = current_database()
