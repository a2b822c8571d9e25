-- Take the running job $1 from its node and return it. The attempt does not count. It may keep
-- running, but its end is refused, since the job no longer executes or has another claim. An intent
-- to cancel wins.
WITH mine AS MATERIALIZED (
  SELECT id, claim, attempt, node, started_at, CASE WHEN intent = 'cancel' THEN 'cancelled' ELSE 'available' END AS final
  FROM elihu.job
  WHERE id = $1 AND state = 'executing'
  FOR NO KEY UPDATE
), back AS (
  UPDATE elihu.job j SET
    state = m.final,
    attempt = j.attempt - 1,
    orphans = 0,
    intent = NULL,
    reason = CASE WHEN m.final = 'cancelled' THEN 'cancelled' END,
    finished_at = CASE WHEN m.final = 'cancelled' THEN now() END
  FROM mine m
  WHERE j.id = m.id
  RETURNING j.queue, j.state, j.node::text AS node, j.awaited
), history AS (
  INSERT INTO elihu.run (job_id, claim, attempt, node, started_at, outcome)
  SELECT id, claim, attempt, node, started_at, 'stopped' FROM mine
  ON CONFLICT (job_id, claim) DO NOTHING
)
SELECT * FROM back
