-- End at most $1 attempts whose node is no more, or only that of job $2 where it is given. The first orphaning gives a job back at once, the
-- second with a delay and jitter, the third in a row (max_orphans in its options) discards it; so does the last attempt. A wish to cancel
-- outlives the node.
-- Robust row by row: max_orphans is read as 3 unless it is a small whole number, and a run that stands already is left alone.
WITH lost AS MATERIALIZED (
  SELECT id, claim, attempt, node, started_at, intent, orphans, max_attempts, transactional, has_on_error,
    attempt - transactional::int >= max_attempts
      OR orphans + 1 >= CASE WHEN options->>'max_orphans' ~ '^[0-9]{1,4}$' THEN (options->>'max_orphans')::integer ELSE 3 END AS spent
  FROM elihu.job j
  WHERE state = 'executing' AND NOT EXISTS (SELECT 1 FROM elihu.node n WHERE n.id = j.node) AND ($2::bigint IS NULL OR id = $2::bigint)
  ORDER BY node, id  -- the order of job_running: for that of id alone the planner may walk the whole primary key
  LIMIT $1::integer
  FOR NO KEY UPDATE OF j SKIP LOCKED
), plan AS MATERIALIZED (
  SELECT *,
    CASE
      WHEN intent = 'cancel' THEN 'cancelled'
      WHEN spent AND NOT (has_on_error AND intent IS DISTINCT FROM 'on_error') THEN 'discarded'
      WHEN orphans = 0 OR spent THEN 'available'
      ELSE 'retryable'
    END AS to_state
  FROM lost
), back AS (
  UPDATE elihu.job j SET
    state = p.to_state,
    attempt = p.attempt - p.transactional::int,
    orphans = least(p.orphans + 1, 32767),
    intent = CASE WHEN p.spent AND p.to_state = 'available' THEN 'on_error' END,
    reason = CASE p.to_state WHEN 'discarded' THEN 'orphaned' WHEN 'cancelled' THEN 'cancelled' END,
    finished_at = CASE WHEN p.to_state IN ('discarded','cancelled') THEN now() END,
    scheduled_at = CASE WHEN p.to_state = 'retryable' THEN now() + interval '17 s' * (1 + random()) ELSE j.scheduled_at END
  FROM plan p
  WHERE j.id = p.id
  RETURNING j.id, j.queue, j.state, j.awaited
), history AS (
  INSERT INTO elihu.run (job_id, claim, attempt, node, started_at, outcome)
  SELECT id, claim, attempt, node, started_at, 'orphaned' FROM plan
  ON CONFLICT (job_id, claim) DO NOTHING
)
SELECT * FROM back
