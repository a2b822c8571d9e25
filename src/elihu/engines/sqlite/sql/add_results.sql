-- Add the results of completed attempts whose job became awaited while they ran. :results is an
-- array of [id, claim, value, reason for no value, type of the error for it, the state of the
-- job]. There is no condition on job alone, so that the planner cannot choose another index than
-- the primary key.
UPDATE job SET result = v.value ->> 2, reason = v.value ->> 3 FROM json_each(:results) v
WHERE job.id = v.value ->> 0 AND job.claim = v.value ->> 1 AND job.state = v.value ->> 5 AND job.awaited AND job.result IS NULL AND job.reason IS NULL
