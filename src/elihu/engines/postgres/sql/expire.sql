-- Cancel at most $1 jobs that never started and whose expiry has passed, oldest first. Locked rows
-- are left to the next round.
WITH due AS MATERIALIZED (
  SELECT id FROM elihu.job
  WHERE state IN ('scheduled','available') AND expires_at IS NOT NULL AND expires_at <= now() AND started_at IS NULL
  ORDER BY expires_at
  LIMIT $1::integer
  FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE elihu.job SET state = 'cancelled', reason = 'expired', finished_at = now()
WHERE id = ANY(ARRAY(SELECT id FROM due))
RETURNING id, queue, awaited
