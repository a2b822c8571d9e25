-- Write the ends under the guard. An intent to cancel wins over every state from which the job
-- would run again. A job that is given back before it ever started (no attempt counts), with a delay or
-- while it waited in its node, loses started_at, so that it can still expire. A job that waited was claimed
-- at started_at, and its end brings the seconds until it started.
UPDATE job SET
  state = e.final,
  attempt = attempt - e.refund_attempt,
  intent = NULL,
  -- an attempt that failed, and whose job is available, has an on_error that is due
  options = CASE WHEN e.final = 'available' AND e.outcome IN ('failed', 'killed', 'timed_out')
    THEN json_set(options, '$.on_error_due', coalesce(e.reason, e.outcome)) ELSE options END,
  reason = CASE WHEN e.final = e.state THEN e.reason ELSE 'cancelled' END,
  result = e.value,
  orphans = CASE WHEN e.outcome = 'returned' THEN orphans ELSE 0 END,
  scheduled_at = CASE WHEN e.delay IS NOT NULL AND e.final IN ('available', 'scheduled', 'retryable')
    THEN round((:now + e.delay) * 1000000.0) / 1000000.0 ELSE scheduled_at END,
  started_at = CASE
    WHEN e.outcome = 'returned' AND (e.delay IS NOT NULL OR (ahead = job.claim AND e.waited = 0.0)) AND attempt = e.refund_attempt THEN NULL
    WHEN e.waited > 0.0 AND ahead = job.claim THEN round((started_at + e.waited) * 1000000.0) / 1000000.0
    ELSE started_at END,
  finished_at = CASE WHEN e.final IN ('completed', 'discarded', 'cancelled') THEN :now END,
  prune_at = CASE WHEN e.final IN ('completed', 'discarded', 'cancelled') THEN max(
    coalesce(keep_until, 0.0), CASE WHEN awaited THEN :now + 3600.0 ELSE 0.0 END, :now + coalesce(
      CASE WHEN :special IS NOT NULL THEN (SELECT s.value ->> 3 FROM json_each(:special) s
        WHERE s.value ->> 0 = e.final AND (s.value ->> 1 = job.queue OR s.value ->> 2 = job.task) ORDER BY s.key LIMIT 1) END,
      CASE e.final WHEN 'completed' THEN :completed WHEN 'cancelled' THEN :cancelled ELSE :discarded END))
    END
FROM (
  SELECT d.*, CASE WHEN j.intent = 'cancel' AND d.state IN ('available', 'scheduled', 'retryable') THEN 'cancelled' ELSE d.state END AS final
  FROM temp.ending d CROSS JOIN job j
  WHERE j.id = d.id AND j.claim = d.claim AND j.node = d.node AND j.state = d.held
) e
WHERE job.id = e.id
