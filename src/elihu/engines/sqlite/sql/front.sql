-- The clock, and the time of the first available job of priority 0 in a queue (NULL without one):
-- the first entry of job_fetch.
SELECT CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0, (
  SELECT scheduled_at FROM job WHERE state = 'available' AND queue = :queue AND priority = 0 ORDER BY scheduled_at LIMIT 1)
