-- Of the consecutive snoozed and returned runs of the jobs $1, whose newest claims are $2, keep the
-- last 100. At most 1,000 runs of a job are removed at a time.
DELETE FROM elihu.run WHERE ctid = ANY(ARRAY(
  SELECT old.ctid FROM unnest($1::bigint[], $2::integer[]) AS j(id, claim)
  CROSS JOIN LATERAL (
    SELECT coalesce(max(other.claim), 0) AS last FROM elihu.run other
    WHERE other.job_id = j.id AND other.outcome NOT IN ('snoozed','returned')) AS kept
  CROSS JOIN LATERAL (
    SELECT r.ctid FROM elihu.run r
    WHERE r.job_id = j.id AND r.claim <= j.claim - 100 AND r.claim > kept.last AND r.outcome IN ('snoozed','returned')
    ORDER BY r.claim
    LIMIT 1000
    FOR UPDATE SKIP LOCKED) AS old))
