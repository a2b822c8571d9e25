-- The database's clock, in whole microseconds since the epoch and in one column of text. It reads no table: the transaction of a caller has no
-- snapshot by it, from which a write could fail.
SELECT json_array(CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) * 1000)
