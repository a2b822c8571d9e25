-- How many of the :limit oldest due jobs each queue has. Asked without the write lock first, since
-- mostly none is due.
SELECT queue, count(*) FROM (
  SELECT queue FROM job WHERE state IN ('scheduled', 'retryable') AND scheduled_at <= :now ORDER BY scheduled_at, id LIMIT :limit)
GROUP BY queue
