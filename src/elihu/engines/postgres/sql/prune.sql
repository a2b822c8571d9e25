-- Remove at most $2 jobs that finished more than $1 seconds ago, oldest first, with their runs. The filter names the state as a constant:
-- only so does the partial index job_finished apply. What somebody waits for stays an hour.
WITH gone AS (
  DELETE FROM elihu.job
  WHERE id = ANY(ARRAY(
    SELECT id FROM elihu.job
    WHERE finished_at < now() - make_interval(secs => $1::float8) AND (keep_until IS NULL OR keep_until <= now())
      AND (NOT awaited OR finished_at < now() - interval '1 h') /* filter */
    ORDER BY finished_at
    LIMIT $2::integer
    FOR UPDATE SKIP LOCKED))
  RETURNING id
), runs AS (
  DELETE FROM elihu.run WHERE job_id = ANY(ARRAY(SELECT id FROM gone))
)
SELECT count(*) FROM gone
