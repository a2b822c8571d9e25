-- The position of job $1 in its queue's order of fetch, from 1; NULL unless the job is available.
SELECT CASE WHEN j.state = 'available' THEN 1 + (
    SELECT count(*) FROM elihu.job o
    WHERE o.state = 'available' AND o.queue = j.queue AND (o.priority, o.scheduled_at, o.id) < (j.priority, j.scheduled_at, j.id)
  ) END AS position
FROM elihu.job j
WHERE j.id = $1
