-- The tasks of at most $1 unfinished jobs, with their queues. Each state has a partial index.
SELECT task, queue, count(*) AS jobs
FROM (SELECT task, queue FROM elihu.job
  WHERE state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable') LIMIT $1::integer) AS found
GROUP BY task, queue ORDER BY task, queue
