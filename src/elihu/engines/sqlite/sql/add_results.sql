-- Add the results of completed attempts for whose ends somebody began to wait while they ran; :results is an array of [id, claim, value, why it is
-- not there, the type of the error that says so, the state it holds in]. No condition on job alone that an index could serve, as in ending.
UPDATE job SET result = v.value ->> 2, reason = v.value ->> 3 FROM json_each(:results) v
WHERE job.id = v.value ->> 0 AND job.claim = v.value ->> 1 AND job.state = v.value ->> 5 AND job.awaited AND job.result IS NULL AND job.reason IS NULL
