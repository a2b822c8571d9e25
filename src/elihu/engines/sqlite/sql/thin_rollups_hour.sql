-- The oldest hour that has minutes; NULL without any.
SELECT CAST(min(at) / 3600.0 AS INTEGER) * 3600.0 FROM rollup WHERE period = 60
