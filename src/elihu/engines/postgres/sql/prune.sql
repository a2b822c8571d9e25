-- Remove the jobs $1 that still have the end $2 and no lock, and let the jobs $3 be read again in $4
-- seconds. Runs go by a trigger.
WITH due AS MATERIALIZED (
  SELECT j.id FROM unnest($1::bigint[], $2::timestamptz[]) AS d(id, finished_at) JOIN elihu.job j ON j.id = d.id
  WHERE j.finished_at = d.finished_at AND (NOT j.awaited OR j.finished_at <= now() - interval '1 h')
  FOR UPDATE OF j SKIP LOCKED
), gone AS (
  DELETE FROM elihu.job WHERE id = ANY(ARRAY(SELECT id FROM due)) RETURNING id
), later AS MATERIALIZED (
  SELECT j.id, l.seconds FROM unnest($3::bigint[], $4::float8[]) AS l(id, seconds) JOIN elihu.job j ON j.id = l.id
  WHERE j.finished_at IS NOT NULL
  FOR NO KEY UPDATE OF j SKIP LOCKED
), deferred AS (
  UPDATE elihu.job j SET prune_at = now() + make_interval(secs => later.seconds) FROM later WHERE j.id = later.id
)
SELECT count(*) FROM gone
