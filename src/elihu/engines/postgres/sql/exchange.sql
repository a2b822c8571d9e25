-- Acknowledge and fetch in one statement, one round trip and one commit. $1 node, $2 queue, $3 free
-- slots, $4-$6 the position to start behind, $7 tasks to leave out, $8 the ages at which jobs of
-- single queues and tasks are pruned, as JSON, $9 that of completed jobs, $10-$12 plain completions,
-- $13 how many of the slots are places to wait, $14 and $15 the ages of cancelled and discarded jobs, $16-$28
-- other ends, $29 the seconds for which the plain ones waited.
--
-- A job that waited in its node was claimed at started_at; its end brings the seconds until it started.
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
  SELECT d.*, j.attempt, j.started_at, j.final, j.never_started
  FROM (
    SELECT id, claim, value, 'completed' AS outcome, 'completed' AS to_state, NULL::float8 AS delay, 0 AS refund_attempt,
      NULL AS reason, NULL AS error, NULL AS traceback, NULL AS log, NULL AS error_type, waited
    FROM unnest($10::bigint[], $11::integer[], $12::text[], $29::float8[]) AS c(id, claim, value, waited)
    UNION ALL
    SELECT id, claim, value, outcome, to_state, delay, refund_attempt, reason, error, traceback, log, error_type, waited
    FROM unnest($16::bigint[], $17::integer[], $18::text[], $19::text[], $20::float8[], $21::integer[], $22::text[], $23::text[],
        $24::text[], $25::text[], $26::text[], $27::text[], $28::float8[])
      AS o(id, claim, outcome, to_state, delay, refund_attempt, value, reason, error, traceback, log, error_type, waited)
  ) d
  -- LATERAL: a plain join may start at job_running and compare every end with every running job of the node
  CROSS JOIN LATERAL (
    SELECT attempt,
      CASE WHEN ahead = job.claim AND d.waited > 0 THEN started_at + make_interval(secs => d.waited) ELSE started_at END AS started_at,
      ahead = job.claim AND d.waited = 0 AS never_started,
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
    started_at = CASE WHEN m.outcome = 'returned' AND (m.delay IS NOT NULL OR m.never_started) AND j.attempt = m.refund_attempt
      THEN NULL ELSE m.started_at END,
    finished_at = CASE WHEN m.final IN ('completed','discarded','cancelled') THEN now() END,
    prune_at = CASE WHEN m.final IN ('completed','discarded','cancelled') THEN greatest(
      now() + make_interval(secs => coalesce(
        CASE WHEN $8::text IS NOT NULL THEN (
          SELECT (s.value ->> 3)::float8 FROM json_array_elements($8::text::json) WITH ORDINALITY AS s(value, place)
          WHERE s.value ->> 0 = m.final AND (s.value ->> 1 = j.queue OR s.value ->> 2 = j.task) ORDER BY s.place LIMIT 1) END,
        CASE m.final WHEN 'completed' THEN $9::float8 WHEN 'cancelled' THEN $14::float8 ELSE $15::float8 END)),
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
