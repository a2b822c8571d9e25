-- Store results of completed attempts whose jobs became awaited after the claim: $1 ids, $2 claims,
-- $3 values. Without a value, $4 is the reason and $5 the type of the error for the waiter. Jobs
-- that another transaction locks are left out.
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
