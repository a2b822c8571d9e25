-- Store progress under the guard; :progress is an array of [id, claim, text]. +node as in exchange_written.
UPDATE job SET progress = p.value ->> 2 FROM json_each(:progress) p
WHERE job.id = p.value ->> 0 AND job.state = 'executing' AND job.claim = p.value ->> 1 AND +job.node = :node
