-- Add the results of completed attempts for whose ends somebody began to wait while they ran: $1 ids, $2 claims, $3 values, $4 why one is not
-- there. It waits for no row lock: a job that somebody holds stays without.
UPDATE elihu.job j SET result = v.value::json, reason = v.reason
FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[]) AS v(id, claim, value, reason)
WHERE j.id = v.id AND j.claim = v.claim AND j.state = 'completed' AND j.result IS NULL AND j.reason IS NULL
  AND j.id = ANY(ARRAY(SELECT id FROM elihu.job WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED))
