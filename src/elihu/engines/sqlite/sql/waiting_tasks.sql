-- The tasks of at most :most unfinished jobs, with their queues.
SELECT task, queue, count(*)
FROM (SELECT task, queue FROM job
  WHERE state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable') LIMIT :most)
GROUP BY task, queue ORDER BY task, queue
