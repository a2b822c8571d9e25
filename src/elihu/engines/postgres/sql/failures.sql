-- At most $1 of the jobs that failed last: discarded ones, and retryable ones among those that are due first. The ids of the
-- former come from the index alone: the planner would sort all discarded jobs.
SELECT latest.id, latest.task, latest.queue, latest.state, latest.at, run.error_type,
  left(coalesce(run.error, latest.reason), 500) AS error
FROM (
  SELECT * FROM (
    SELECT id, claim, task, queue, state, finished_at AS at, reason FROM elihu.job
    WHERE id = ANY(ARRAY(
      SELECT id FROM elihu.job WHERE state = 'discarded' AND state IN ('discarded','cancelled')
      ORDER BY finished_at DESC, id DESC LIMIT $1::integer)) AND state = 'discarded'
  ) AS discarded
  UNION ALL
  SELECT * FROM (
    SELECT id, claim, task, queue, state, coalesce(started_at, scheduled_at) AS at, reason FROM elihu.job
    WHERE state IN ('scheduled','retryable') ORDER BY scheduled_at, id LIMIT $1::integer
  ) AS due WHERE state = 'retryable'
) AS latest
LEFT JOIN elihu.run ON run.job_id = latest.id AND run.claim = latest.claim
ORDER BY at DESC
LIMIT $1::integer
