-- End the attempts of the jobs :ids, which rescue_lost.sql found under the same lock. The first
-- orphaning gives a job back at once, the second with a delay and jitter, the third in a row
-- (max_orphans in its options) discards it; so does the last attempt. An intent to cancel wins.
-- max_orphans counts as 3 unless it is a small whole number.
UPDATE job SET
  state = p.final,
  attempt = attempt - p.rolled_back,
  orphans = orphans + 1,
  intent = NULL,
  options = CASE WHEN p.spent AND p.final = 'available' THEN json_set(options, '$.on_error_due', 'orphaned') ELSE options END,
  reason = CASE p.final WHEN 'discarded' THEN 'orphaned' WHEN 'cancelled' THEN 'cancelled' END,
  finished_at = CASE WHEN p.final IN ('discarded', 'cancelled') THEN :now END,
  scheduled_at = CASE WHEN p.final = 'retryable' THEN round((:now + 17.0 * (1.0 + abs(random() % 1000000) / 1000000.0)) * 1000000.0) / 1000000.0
    ELSE scheduled_at END
FROM (
  SELECT id, spent, rolled_back, CASE
      WHEN intent = 'cancel' THEN 'cancelled'
      WHEN spent AND NOT has_on_error THEN 'discarded'
      WHEN orphans = 0 OR spent THEN 'available'
      ELSE 'retryable'
    END AS final
  FROM (
    SELECT job.id, intent, orphans, coalesce(options ->> 'transactional', 0) IS 1 AS rolled_back,
      coalesce(options ->> 'on_error', 0) IS 1 AND options ->> 'on_error_due' IS NULL AS has_on_error,
      attempt - (coalesce(options ->> 'transactional', 0) IS 1) >= max_attempts OR orphans + 1 >= CASE
        WHEN json_type(options, '$.max_orphans') = 'integer' AND options ->> 'max_orphans' BETWEEN 0 AND 9999 THEN options ->> 'max_orphans'
        ELSE 3
      END AS spent
    FROM json_each(:ids) i CROSS JOIN job ON job.id = i.value)) p
WHERE job.id = p.id
