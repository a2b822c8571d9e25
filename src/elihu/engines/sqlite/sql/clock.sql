-- The database's clock, in Unix seconds: whole milliseconds, each the nearest double. SQLite 3.40
-- has no 'subsec'. It is read once in a transaction and passed on as :now, since 'now' moves
-- between the statements of a transaction, unlike PostgreSQL's.
SELECT CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0
