-- The database's clock, in Unix seconds: whole milliseconds, the double nearest to each. SQLite 3.40 has no 'subsec'. Read once a transaction
-- and passed on as :now, since 'now' moves between the statements of a transaction, unlike PostgreSQL's.
SELECT CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0
