-- Remove a bounded number of old hours.
DELETE FROM rollup WHERE (period, at, queue, task, outcome, writer) IN (
  SELECT period, at, queue, task, outcome, writer FROM rollup WHERE period = 3600 AND at < :before LIMIT :limit)
