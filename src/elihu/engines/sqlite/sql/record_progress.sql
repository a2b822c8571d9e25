-- Store progress under the guard; :progress is an array of [id, claim, node, state, text]. There
-- is no condition on job alone, as in exchange_ends.sql.
UPDATE job SET progress = p.value ->> 4 FROM json_each(:progress) p
WHERE job.id = p.value ->> 0 AND job.claim = p.value ->> 1 AND job.node = p.value ->> 2 AND job.state = p.value ->> 3
