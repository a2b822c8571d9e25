-- Record when jobs started that had waited in their node; :starts is an array of [id, claim, node, state, seconds
-- since the claim]. There is no condition on job alone, as in exchange_ends.sql.
UPDATE job SET started_at = round((started_at + s.value ->> 4) * 1000000.0) / 1000000.0, ahead = NULL FROM json_each(:starts) s
WHERE job.id = s.value ->> 0 AND job.claim = s.value ->> 1 AND job.ahead = s.value ->> 1 AND job.node = s.value ->> 2 AND job.state = s.value ->> 3
RETURNING id
