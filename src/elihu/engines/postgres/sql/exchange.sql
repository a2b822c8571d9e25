-- Acknowledge and fetch in one statement, one round trip and one commit. $1 node, $2 queue, $3 free
-- slots, $4-$6 the position to start behind, $7 tasks to leave out, $8 the ages at which jobs of
-- single queues and tasks are pruned, as JSON, $9 that of completed jobs, $10-$12 plain completions,
-- $13 and $14 the ages of cancelled and discarded jobs, $15-$26 other ends.
--
-- No part waits for a row lock. An id that does not come back is locked by another transaction or
-- no longer belongs to this claim; ack_statuses.sql tells which. The statement does not see its own
-- writes: a later one fetches a job that this one makes available. Rows have no order.
--
-- The planner knows neither $3 nor the lengths of the arrays: it assumes a tenth of the queue and
-- ten rows for an array. A generic plan then looks dearer than planning at each call, which costs
-- half a millisecond, and a generic plan made for a small table reads all of it later. Conditions
-- that are always true (BETWEEN $2 AND $2, = id + 0) and a CASE in place of <> ALL make it assume
-- few rows.
WITH mine AS MATERIALIZED (
  SELECT d.*, j.attempt, j.started_at, j.final
  FROM (
    SELECT id, claim, value, 'completed' AS outcome, 'completed' AS to_state, NULL::float8 AS delay, 0 AS refund_attempt,
      NULL AS reason, NULL AS error, NULL AS traceback, NULL AS log, NULL AS error_type
    FROM unnest($10::bigint[], $11::integer[], $12::text[]) AS c(id, claim, value)
    UNION ALL
    SELECT id, claim, value, outcome, to_state, delay, refund_attempt, reason, error, traceback, log, error_type
    FROM unnest($15::bigint[], $16::integer[], $17::text[], $18::text[], $19::float8[], $20::integer[], $21::text[], $22::text[],
        $23::text[], $24::text[], $25::text[], $26::text[])
      AS o(id, claim, outcome, to_state, delay, refund_attempt, value, reason, error, traceback, log, error_type)
  ) d
  -- LATERAL: a plain join may start at job_running and compare every end with every running job of the node
  CROSS JOIN LATERAL (
    SELECT attempt, started_at,
      CASE WHEN intent = 'cancel' AND d.to_state IN ('available','scheduled','retryable') THEN 'cancelled' ELSE d.to_state END AS final
    FROM elihu.job
    WHERE job.id = d.id AND state = 'executing' AND job.claim = d.claim AND node = $1::uuid
    FOR NO KEY UPDATE SKIP LOCKED
  ) j
  WHERE d.id = d.id + 0
), acked AS (
  UPDATE elihu.job j SET
    state = m.final,
    attempt = j.attempt - m.refund_attempt,
    intent = NULL,
    -- an attempt that failed, and whose job is available, has an on_error that is due
    options = CASE WHEN m.final = 'available' AND m.outcome IN ('failed','killed','timed_out')
      THEN (j.options::jsonb || jsonb_build_object('on_error_due', coalesce(m.reason, m.outcome)))::json ELSE j.options END,
    -- the end says why the attempt ended, for instance that its node stopped; a job that is cancelled instead has this reason
    reason = CASE WHEN m.final = m.to_state THEN m.reason ELSE 'cancelled' END,
    result = m.value::json,
    orphans = CASE WHEN m.outcome = 'returned' THEN j.orphans ELSE 0 END,
    scheduled_at = CASE WHEN m.delay IS NOT NULL AND m.final IN ('available','scheduled','retryable')
      THEN now() + make_interval(secs => m.delay) ELSE j.scheduled_at END,
    -- given back without a start: such a job can still expire
    started_at = CASE WHEN m.outcome = 'returned' AND m.delay IS NOT NULL AND j.attempt = m.refund_attempt THEN NULL ELSE j.started_at END,
    finished_at = CASE WHEN m.final IN ('completed','discarded','cancelled') THEN now() END,
    prune_at = CASE WHEN m.final IN ('completed','discarded','cancelled') THEN greatest(
      now() + make_interval(secs => coalesce(
        CASE WHEN $8::text IS NOT NULL THEN (
          SELECT (s.value ->> 3)::float8 FROM json_array_elements($8::text::json) WITH ORDINALITY AS s(value, place)
          WHERE s.value ->> 0 = m.final AND (s.value ->> 1 = j.queue OR s.value ->> 2 = j.task) ORDER BY s.place LIMIT 1) END,
        CASE m.final WHEN 'completed' THEN $9::float8 WHEN 'cancelled' THEN $13::float8 ELSE $14::float8 END)),
      j.keep_until, CASE WHEN j.awaited THEN now() + interval '1 h' END) END
  FROM mine m
  WHERE j.id = m.id AND m.id = m.id + 0
  RETURNING j.id, j.awaited
), history AS (
  INSERT INTO elihu.run (job_id, claim, attempt, node, started_at, outcome, reason, error, traceback, log, error_type)
  SELECT id, claim, attempt, $1::uuid, started_at, outcome, reason, error, traceback, log, error_type
  FROM mine
  WHERE outcome <> 'completed' OR log IS NOT NULL OR error_type IS NOT NULL
  -- a run of an earlier job with this id, whose table was emptied or restored alone
  ON CONFLICT (job_id, claim) DO UPDATE SET attempt = excluded.attempt, node = excluded.node, started_at = excluded.started_at,
    ended_at = excluded.ended_at, outcome = excluded.outcome, reason = excluded.reason, error = excluded.error,
    traceback = excluded.traceback, log = excluded.log, error_type = excluded.error_type
/* exchange_claims */
