-- Change an unfinished job $1 that does not execute. NULL changes nothing: $2 args, $3 queue, $4
-- priority, $5 run_at, $6 max_attempts, $7 tags, $8 meta. A new time decides again between
-- available and scheduled. A suspended job stays suspended.
UPDATE elihu.job SET
  args = coalesce($2::text::json, args),
  queue = coalesce($3, queue),
  priority = coalesce($4::smallint, priority),
  scheduled_at = coalesce($5::timestamptz, scheduled_at),
  max_attempts = coalesce($6::integer, max_attempts),
  tags = coalesce($7::text[], tags),
  meta = coalesce($8::text::json, meta),
  state = CASE WHEN $5::timestamptz IS NULL OR state = 'suspended' THEN state WHEN $5::timestamptz > now() THEN 'scheduled' ELSE 'available' END
WHERE id = $1 AND state IN ('suspended','scheduled','available','retryable')
RETURNING /* job columns */
