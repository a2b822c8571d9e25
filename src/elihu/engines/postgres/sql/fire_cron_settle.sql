-- Store the ticks $3 of entry $1 with their jobs $4, and settle the entry up to $2.
WITH ticks AS (
  INSERT INTO elihu.cron_tick (cron, at, job_id) SELECT $1, at, job_id FROM unnest($3::timestamptz[], $4::bigint[]) AS s(at, job_id)
)
UPDATE elihu.cron SET
  last_tick = $2,
  fired_at = coalesce(($3::timestamptz[])[cardinality($3)], fired_at),
  job_id = coalesce(($4::bigint[])[cardinality($4)], job_id)
WHERE name = $1
