-- Return jobs that execute in the name of node $1 although it does not know them, since the answer
-- to its fetch was lost: claimed more than $2 seconds ago, and not among the claims it holds, $3
-- ids and $4 claims. The attempt does not count. An intent to cancel wins.
WITH held AS MATERIALIZED (
  SELECT id, claim FROM unnest($3::bigint[], $4::integer[]) AS h(id, claim)
), lost AS MATERIALIZED (
  SELECT id, claim, attempt, started_at, CASE WHEN intent = 'cancel' THEN 'cancelled' ELSE 'available' END AS final
  FROM elihu.job j
  WHERE state = 'executing' AND node = $1::uuid AND started_at < now() - make_interval(secs => $2::float8)
    AND NOT EXISTS (SELECT 1 FROM held h WHERE h.id = j.id AND h.claim = j.claim)
  ORDER BY id
  FOR NO KEY UPDATE SKIP LOCKED
), back AS (
  UPDATE elihu.job j SET
    state = l.final,
    attempt = j.attempt - 1,
    intent = NULL,
    reason = CASE WHEN l.final = 'cancelled' THEN 'cancelled' END,
    finished_at = CASE WHEN l.final = 'cancelled' THEN now() END
  FROM lost l
  WHERE j.id = l.id
  RETURNING j.id, j.queue, j.state, j.awaited
), history AS (
  INSERT INTO elihu.run (job_id, claim, attempt, node, started_at, outcome, reason)
  SELECT id, claim, attempt, $1::uuid, started_at, 'returned', 'the answer to its fetch was lost' FROM lost
  ON CONFLICT (job_id, claim) DO NOTHING
)
SELECT id, queue, state, awaited FROM back ORDER BY id
