-- Make at most $3 jobs with ids above $1 and up to $2 available. Rows are locked by id. A plainly
-- completed attempt, which only the job's row showed, becomes a run.
WITH picked AS MATERIALIZED (
  SELECT id, state, claim, attempt, node, started_at, finished_at, reason FROM elihu.job
  WHERE id > $1::bigint AND id <= $2::bigint /* filter */
  ORDER BY id
  LIMIT $3::integer
  FOR NO KEY UPDATE
), history AS (
  INSERT INTO elihu.run (job_id, claim, attempt, node, started_at, ended_at, outcome, reason)
  SELECT id, claim, attempt, node, started_at, finished_at, 'completed', reason
  FROM picked
  WHERE state = 'completed' AND started_at IS NOT NULL
  ON CONFLICT (job_id, claim) DO NOTHING
), changed AS (
  UPDATE elihu.job SET state = 'available', scheduled_at = now(), max_attempts = greatest(max_attempts, attempt + 1), orphans = 0,
    expires_at = NULL, finished_at = NULL, result = NULL, reason = NULL, intent = NULL, prune_at = NULL,
    options = CASE WHEN options->>'on_error_due' IS NULL THEN options ELSE (options::jsonb - 'on_error_due')::json END
  WHERE id = ANY(ARRAY(SELECT id FROM picked))
  RETURNING queue
)
SELECT (SELECT count(*) FROM picked) AS seen, (SELECT max(id) FROM picked) AS last, (SELECT count(*) FROM changed) AS changed,
  ARRAY(SELECT DISTINCT queue FROM changed) AS queues, '{}'::text[] AS nodes
