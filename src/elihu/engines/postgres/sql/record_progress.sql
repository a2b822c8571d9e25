-- Store progress under the guard: $1 node, $2 ids, $3 claims, $4 JSON texts. Locked rows are left
-- to the next report. The condition = id + 0 is always true, see exchange.sql.
WITH mine AS MATERIALIZED (
  SELECT p.id, p.progress
  FROM unnest($2::bigint[], $3::integer[], $4::text[]) AS p(id, claim, progress)
  -- LATERAL: a plain join may start at job_running
  CROSS JOIN LATERAL (
    SELECT 1 FROM elihu.job
    WHERE job.id = p.id AND state = 'executing' AND job.claim = p.claim AND node = $1::uuid
    FOR NO KEY UPDATE SKIP LOCKED
  ) j
)
UPDATE elihu.job j SET progress = m.progress::json FROM mine m WHERE j.id = m.id AND m.id = m.id + 0
