-- The database's clock, in whole microseconds since the epoch, and the file of the connection, in one
-- column of text. No table is read: the caller's transaction gets no snapshot by it, after which a
-- write could fail.
SELECT json_array(CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) * 1000,
  (SELECT file FROM pragma_database_list WHERE name = 'main'))
