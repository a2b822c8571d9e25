-- Of the consecutive snoozed and returned runs of the jobs in :jobs, an array of [id, claim of the
-- newest], keep the last 100. At most 1,000 runs of a job are removed at a time.
DELETE FROM run WHERE (job_id, claim) IN (
  SELECT r.job_id, r.claim FROM json_each(:jobs) j CROSS JOIN run r ON r.job_id = j.value ->> 0
  WHERE r.claim <= j.value ->> 1 - 100 AND r.outcome IN ('snoozed', 'returned') AND r.claim > coalesce((
    SELECT max(other.claim) FROM run other
    WHERE other.job_id = j.value ->> 0 AND other.outcome NOT IN ('snoozed', 'returned')), 0)
  LIMIT 1000)
