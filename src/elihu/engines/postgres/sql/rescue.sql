-- End at most $1 attempts of nodes that no longer have a row; with $2 only the attempt of that job.
--
-- First orphaning: available at once. Second: retryable after a delay with jitter. The third in a
-- row (max_orphans of the job's options) and the last attempt: discarded. An intent to cancel wins
-- over all.
--
-- executing finds the nodes of executing jobs with one look-up in job_running each. Ordered as that
-- index is: for the order of id alone the planner may read the whole primary key.
--
-- The dead nodes are an array that is computed once, before any row is locked. A row that changed
-- meanwhile is checked again with its new node: a node that fetched the job after this statement
-- began is not in the array. A condition on the table of nodes would be checked again with the old
-- snapshot, in which that node does not exist.
--
-- One bad row stops no other one: a max_orphans that is no small whole number counts as 3, and a
-- run that is already stored stays.
WITH RECURSIVE executing(node) AS (
  (SELECT node FROM elihu.job WHERE state = 'executing' ORDER BY node LIMIT 1)
  UNION ALL
  SELECT (SELECT j.node FROM elihu.job j WHERE j.state = 'executing' AND j.node > e.node ORDER BY j.node LIMIT 1)
  FROM executing e
  WHERE e.node IS NOT NULL
), dead AS MATERIALIZED (
  SELECT node FROM executing e
  WHERE node IS NOT NULL AND NOT EXISTS (SELECT 1 FROM elihu.node n WHERE n.id = e.node)
), lost AS MATERIALIZED (
  SELECT id, claim, attempt, node, started_at, intent, orphans, max_attempts,
    coalesce(options->>'transactional' = 'true', false) AS rolled_back,
    coalesce(options->>'on_error' = 'true' AND options->>'on_error_due' IS NULL, false) AS has_on_error,
    attempt - coalesce(options->>'transactional' = 'true', false)::int >= max_attempts
      OR orphans + 1 >= CASE WHEN options->>'max_orphans' ~ '^[0-9]{1,4}$' THEN (options->>'max_orphans')::integer ELSE 3 END AS spent
  FROM elihu.job j
  WHERE state = 'executing' AND node = ANY(ARRAY(SELECT node FROM dead)) AND ($2::bigint IS NULL OR id = $2::bigint)
  ORDER BY node, id
  LIMIT $1::integer
  FOR NO KEY UPDATE OF j SKIP LOCKED
), plan AS MATERIALIZED (
  SELECT *,
    CASE
      WHEN intent = 'cancel' THEN 'cancelled'
      WHEN spent AND NOT has_on_error THEN 'discarded'
      WHEN orphans = 0 OR spent THEN 'available'
      ELSE 'retryable'
    END AS to_state
  FROM lost
), back AS (
  UPDATE elihu.job j SET
    state = p.to_state,
    attempt = p.attempt - p.rolled_back::int,
    orphans = least(p.orphans + 1, 32767),
    intent = NULL,
    options = CASE WHEN p.spent AND p.to_state = 'available'
      THEN (j.options::jsonb || jsonb_build_object('on_error_due', 'orphaned'))::json ELSE j.options END,
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
