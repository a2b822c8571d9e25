-- Whether node :node could claim a job. Asked before the write lock is taken, so that an idle poll
-- writes nothing and wakes no other process.
SELECT EXISTS (
  SELECT 1 FROM job
  WHERE state = 'available' AND queue = :queue AND (priority, scheduled_at, id) > (:after_priority, :after_at, :after_id)
    AND (expires_at IS NULL OR started_at IS NOT NULL OR expires_at > CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0)
    AND claim < 2000000000 AND attempt < 2000000000 AND task NOT IN (SELECT value FROM json_each(:exclude)))
