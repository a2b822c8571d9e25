-- Make the finished jobs with ids above $1 and up to $2 ready to be read by prune again.
UPDATE elihu.job SET prune_at = NULL
WHERE id = ANY(ARRAY(
  SELECT id FROM elihu.job
  WHERE id > $1::bigint AND id <= $2::bigint AND finished_at IS NOT NULL AND prune_at IS NOT NULL
    AND (keep_until IS NULL OR prune_at > keep_until)
  ORDER BY id
  FOR NO KEY UPDATE SKIP LOCKED))
