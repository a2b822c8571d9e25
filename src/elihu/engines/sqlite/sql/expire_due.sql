-- At most :limit jobs that never started and are past expires_at, oldest first. Asked without the
-- write lock first, since mostly there are none.
SELECT id, queue, awaited FROM job INDEXED BY job_expiry
WHERE state IN ('scheduled', 'available') AND expires_at IS NOT NULL AND expires_at <= :now AND started_at IS NULL
ORDER BY expires_at
LIMIT :limit
