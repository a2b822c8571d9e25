-- Make due jobs available. The same conditions under the same lock find the same jobs as
-- stage_due.sql.
UPDATE job SET state = 'available' WHERE id IN (
  SELECT id FROM job WHERE state IN ('scheduled', 'retryable') AND scheduled_at <= :now ORDER BY scheduled_at, id LIMIT :limit)
