-- exchange.sql where every end is a plain completion, or there is none: nearly always. It has $1-$12 of
-- the values, and with claims that wait in the node also $13, and as $14 the seconds for which each waited.
-- It exists in both forms, see engines/ahead.py. The server spends less on expressions and plan nodes that are not needed, which counts most where
-- a batch is small. tests/engines compare the two on the same jobs.
WITH mine AS MATERIALIZED (
  SELECT d.id, d.value/*ahead , d.waited ahead*/
  FROM unnest($10::bigint[], $11::integer[], $12::text[]/*ahead , $14::float8[] ahead*/) AS d(id, claim, value/*ahead , waited ahead*/)
  -- LATERAL: a plain join may start at job_running and compare every end with every running job of the node
  CROSS JOIN LATERAL (
    SELECT FROM elihu.job
    WHERE job.id = d.id AND state = 'executing' AND job.claim = d.claim AND node = $1::uuid
    FOR NO KEY UPDATE SKIP LOCKED
  ) j
  WHERE d.id = d.id + 0
), acked AS (
  UPDATE elihu.job j SET
    state = 'completed',
    intent = NULL,
    reason = NULL,
    result = m.value::json,
    orphans = 0,
/*ahead     started_at = CASE WHEN ahead = claim AND m.waited > 0 THEN started_at + make_interval(secs => m.waited) ELSE started_at END,
 ahead*/    finished_at = now(),
    prune_at = greatest(
      now() + make_interval(secs => coalesce(
        CASE WHEN $8::text IS NOT NULL THEN (
          SELECT (s.value ->> 3)::float8 FROM json_array_elements($8::text::json) WITH ORDINALITY AS s(value, place)
          WHERE s.value ->> 0 = 'completed' AND (s.value ->> 1 = j.queue OR s.value ->> 2 = j.task) ORDER BY s.place LIMIT 1) END,
        $9::float8)),
      j.keep_until, CASE WHEN j.awaited THEN now() + interval '1 h' END)
  FROM mine m
  WHERE j.id = m.id AND m.id = m.id + 0
  RETURNING j.id, j.awaited
/* exchange_claims */
