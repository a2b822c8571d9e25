-- Add the results of completed attempts for whose ends somebody began to wait while they ran: $1 ids, $2 claims, $3 values; where one is not
-- there, $4 why, and $5 the type of the error that says so to whoever waits. It waits for no row lock: a job that somebody holds stays without.
WITH kept AS (
  UPDATE elihu.job j SET result = v.value::json, reason = v.reason
  FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[]) AS v(id, claim, value, reason, error_type)
  WHERE j.id = v.id AND j.claim = v.claim AND j.state = 'completed' AND j.awaited AND j.result IS NULL AND j.reason IS NULL
    AND j.id = ANY(ARRAY(SELECT id FROM elihu.job WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED))
  RETURNING j.id, j.claim, j.attempt, j.node, j.started_at, j.finished_at, v.reason, v.error_type
)
INSERT INTO elihu.run (job_id, claim, attempt, node, started_at, ended_at, outcome, reason, error_type)
SELECT id, claim, attempt, node, started_at, finished_at, 'completed', reason, error_type FROM kept WHERE error_type IS NOT NULL
ON CONFLICT (job_id, claim) DO UPDATE SET reason = excluded.reason, error_type = excluded.error_type
