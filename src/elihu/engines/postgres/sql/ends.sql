-- The ends of waits: $1 ids, $2 the claims above which an attempt's end counts, $3 whether only the
-- job's end counts. A wait without an end has no row. A job that is gone has a row without a state.
-- For a finished job the last attempt tells the outcome; claim is that of the attempt that ended.
--
-- Values beyond $4 stored bytes are left out, but never the first one; they come with the next
-- call. Sizes are read without the values. For a second after the end a missing value is left out
-- too, since add_results.sql may still store it.
SELECT place, state, claim, reason, outcome, run_reason, error, error_type, traceback,
  before < $4::bigint AND (state IS DISTINCT FROM 'completed' OR value IS NOT NULL OR reason IS NOT NULL OR error_type IS NOT NULL
    OR finished_at < now() - interval '1 s') AS whole,
  CASE WHEN before < $4::bigint THEN value END AS value
FROM (
  SELECT w.place, j.state, coalesce(r.claim, j.claim) AS claim, j.reason, r.outcome, r.reason AS run_reason, r.error, r.error_type, r.traceback,
    j.result AS value, j.finished_at,
    coalesce(sum(pg_column_size(j.result)) OVER (ORDER BY w.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
  FROM unnest($1::bigint[], $2::integer[], $3::boolean[]) WITH ORDINALITY AS w(id, since, only_job, place)
  LEFT JOIN elihu.job j ON j.id = w.id
  LEFT JOIN LATERAL (
    SELECT claim, outcome, reason, error, error_type, traceback FROM elihu.run
    WHERE run.job_id = j.id
      AND CASE WHEN j.finished_at IS NULL THEN NOT w.only_job AND run.claim > w.since AND run.outcome IN ('failed','killed','timed_out','snoozed')
        ELSE run.claim = j.claim END
    ORDER BY run.claim DESC
    LIMIT 1
  ) r ON true
  WHERE j.id IS NULL OR j.finished_at IS NOT NULL OR r.outcome IS NOT NULL
) e
