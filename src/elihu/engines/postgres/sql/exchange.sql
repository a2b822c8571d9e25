-- Acknowledge and fetch in one statement, one round trip and one commit. $1 node, $2 queue, $3 free
-- slots, $4-$6 plain completions, $7-$18 other ends, $19-$21 the position to start behind, $22
-- tasks to leave out, $23-$25 the ages at which completed, cancelled and discarded jobs are pruned,
-- $26 those of single queues and tasks as JSON.
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
    FROM unnest($4::bigint[], $5::integer[], $6::text[]) AS c(id, claim, value)
    UNION ALL
    SELECT id, claim, value, outcome, to_state, delay, refund_attempt, reason, error, traceback, log, error_type
    FROM unnest($7::bigint[], $8::integer[], $9::text[], $10::text[], $11::float8[], $12::integer[], $13::text[], $14::text[],
        $15::text[], $16::text[], $17::text[], $18::text[])
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
        CASE WHEN $26::text IS NOT NULL THEN (
          SELECT (s.value ->> 3)::float8 FROM json_array_elements($26::text::json) WITH ORDINALITY AS s(value, place)
          WHERE s.value ->> 0 = m.final AND (s.value ->> 1 = j.queue OR s.value ->> 2 = j.task) ORDER BY s.place LIMIT 1) END,
        CASE m.final WHEN 'completed' THEN $23::float8 WHEN 'cancelled' THEN $24::float8 ELSE $25::float8 END)),
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
), taken AS (
  UPDATE elihu.job j SET state = 'executing', claim = claim + 1, attempt = attempt + 1, node = $1::uuid, started_at = now()
  FROM unnest(ARRAY(
      SELECT id FROM elihu.job
      WHERE state = 'available' AND queue = $2 AND queue BETWEEN $2 AND $2
        AND (priority, scheduled_at, id) > ($19::smallint, $20::timestamptz, $21::bigint)
        AND (expires_at IS NULL OR expires_at > now() OR started_at IS NOT NULL)
        AND CASE WHEN task = ANY($22::text[]) OR claim = 2000000000 OR attempt = 2000000000 THEN false ELSE true END
      ORDER BY priority, scheduled_at, id
      LIMIT $3::integer
      FOR NO KEY UPDATE SKIP LOCKED)) AS f(id)
  WHERE j.id = f.id AND f.id = f.id + 0
    AND EXISTS (SELECT 1 FROM elihu.node WHERE node.id = $1::uuid)
  RETURNING j.id, claim, task, args, attempt, max_attempts, orphans, priority, scheduled_at, inserted_at, started_at, tags, options, meta,
    encode(unique_key, 'hex') AS unique_key, awaited, template, identifier, expires_at, occurrence
)
SELECT NULL::bigint AS id, NULL::integer AS claim, NULL::text AS task, NULL::json AS args, NULL::integer AS attempt,
  NULL::integer AS max_attempts, NULL::smallint AS orphans, NULL::smallint AS priority, NULL::timestamptz AS scheduled_at,
  NULL::timestamptz AS inserted_at, NULL::timestamptz AS started_at, NULL::text[] AS tags, NULL::json AS options, NULL::json AS meta,
  NULL::text AS unique_key, NULL::boolean AS awaited, NULL::text AS template, NULL::text AS identifier, NULL::timestamptz AS expires_at,
  NULL::timestamptz AS occurrence,
  ARRAY(SELECT id FROM acked WHERE NOT acked.awaited) AS acked, ARRAY(SELECT id FROM acked WHERE acked.awaited) AS acked_awaited
UNION ALL
SELECT id, claim, task, args, attempt, max_attempts, orphans, priority, scheduled_at, inserted_at, started_at, tags, options, meta,
  unique_key, awaited, template, identifier, expires_at, occurrence, NULL, NULL
FROM taken
