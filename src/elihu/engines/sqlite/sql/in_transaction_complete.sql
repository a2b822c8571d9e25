-- Complete attempts in a transaction of their tasks, under the guard and in one database only. The only parameter is a JSON array;
-- UPDATE is the first word, see in_transaction_insert.sql. A value is kept where it is wanted, or where a caller began to wait
-- while the attempt ran. Without a time in 'now' the job ends now.
UPDATE job SET state = given.body ->> 'to_state', intent = NULL, orphans = 0,
  started_at = CASE WHEN given.body ->> 'waited' > 0.0 AND ahead = job.claim
    THEN round((started_at + given.body ->> 'waited') * 1000000.0) / 1000000.0 ELSE started_at END,
  reason = CASE WHEN awaited OR given.body ->> 'wanted' OR given.body ->> 'outcome' <> 'completed' THEN given.body ->> 'reason' END,
  result = CASE WHEN awaited OR given.body ->> 'wanted' THEN given.body ->> 'value' END,
  finished_at = coalesce((given.body ->> 'now') / 1000000.0, CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0)
FROM (SELECT value AS body FROM json_each(?)) AS given
WHERE job.id = given.body ->> 'id' AND job.claim = given.body ->> 'claim' AND job.node = given.body ->> 'node' AND job.state = 'executing'
  AND given.body ->> 'installation' = (SELECT value FROM meta WHERE key = 'installation_id')
RETURNING json_array(id)
