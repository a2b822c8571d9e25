-- Record when jobs started that had waited in their node: $1 node, $2 ids, $3 claims, $4 seconds since
-- their claims. Locked rows are left to the next call. The condition = id + 0 is always true, see exchange.sql.
WITH mine AS MATERIALIZED (
  SELECT s.id, s.waited
  FROM unnest($2::bigint[], $3::integer[], $4::float8[]) AS s(id, claim, waited)
  -- LATERAL: a plain join may start at job_running
  CROSS JOIN LATERAL (
    SELECT 1 FROM elihu.job
    WHERE job.id = s.id AND state = 'executing' AND job.claim = s.claim AND ahead = s.claim AND node = $1::uuid
    FOR NO KEY UPDATE SKIP LOCKED
  ) j
)
UPDATE elihu.job j SET started_at = started_at + make_interval(secs => m.waited), ahead = NULL
FROM mine m
WHERE j.id = m.id AND m.id = m.id + 0
RETURNING j.id
