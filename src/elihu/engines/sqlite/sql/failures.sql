-- A bounded number of the jobs that failed last: discarded ones, and retryable ones among those that
-- are due first.
SELECT latest.id, latest.task, latest.queue, latest.state, latest.at, run.error_type,
  substr(coalesce(run.error, latest.reason), 1, 500) AS error
FROM (
  SELECT * FROM (
    SELECT id, claim, task, queue, state, finished_at AS at, reason FROM job INDEXED BY job_failed
    WHERE state = 'discarded' AND state IN ('discarded','cancelled')
    ORDER BY finished_at DESC LIMIT :limit
  ) AS discarded
  UNION ALL
  SELECT * FROM (
    SELECT id, claim, task, queue, state, coalesce(started_at, scheduled_at) AS at, reason FROM job INDEXED BY job_stage
    WHERE state IN ('scheduled','retryable') ORDER BY scheduled_at, id LIMIT :limit
  ) AS due WHERE state = 'retryable'
) AS latest
LEFT JOIN run ON run.job_id = latest.id AND run.claim = latest.claim
ORDER BY at DESC
LIMIT :limit
