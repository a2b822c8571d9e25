-- Remove the minutes of one hour.
DELETE FROM rollup WHERE period = 60 AND at >= :hour AND at < :hour + 3600.0
