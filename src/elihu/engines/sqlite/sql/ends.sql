-- The ends of waits as one JSON text; :waits is an array of [id, claim above which the end of an
-- attempt counts, whether only the end of the job counts]. A wait without an end has no row. A
-- wait for a job that is gone has a row without a state. For a finished job the last attempt
-- counts; claim is that of the attempt that ended, and the next one may be running. Values beyond
-- :bytes are left out, but never the first; they come with the next call. So does a value that is
-- missing within a second of the end, since the node may still add it (add_results.sql).
SELECT json_group_array(json_array(place, state, claim, reason, CASE WHEN before < :bytes THEN value END, outcome, run_reason, error, error_type,
  traceback, before < :bytes AND (state IS NOT 'completed' OR value IS NOT NULL OR reason IS NOT NULL OR error_type IS NOT NULL
    OR finished_at < CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0 - 1.0)))
FROM (
  SELECT w.key AS place, j.state, coalesce(r.claim, j.claim) AS claim, j.reason, j.result AS value, j.finished_at, r.outcome, r.reason AS run_reason, r.error, r.error_type,
    r.traceback,
    coalesce(sum(length(j.result)) OVER (ORDER BY w.key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
  FROM json_each(:waits) w
  LEFT JOIN job j ON j.id = w.value ->> 0
  LEFT JOIN run r ON r.job_id = j.id AND r.claim = CASE WHEN j.finished_at IS NOT NULL THEN j.claim
    WHEN w.value ->> 2 THEN NULL
    ELSE (SELECT max(claim) FROM run n
      WHERE n.job_id = j.id AND n.claim > w.value ->> 1 AND n.outcome IN ('failed', 'killed', 'timed_out', 'snoozed')) END
  WHERE j.id IS NULL OR j.finished_at IS NOT NULL OR r.outcome IS NOT NULL)
