-- Complete an attempt in a transaction of its task, under the guard and in one installation only.
-- The only parameter is a JSON text. UPDATE is the first word, see in_transaction_insert.sql. The
-- value is stored where it is wanted, and where the job became awaited while the attempt ran.
UPDATE job SET state = 'completed', intent = NULL, orphans = 0,
  reason = CASE WHEN awaited OR given.body ->> 'wanted' THEN given.body ->> 'reason' END,
  result = CASE WHEN awaited OR given.body ->> 'wanted' THEN given.body ->> 'value' END,
  finished_at = (given.body ->> 'now') / 1000000.0
FROM (SELECT ? AS body) AS given
WHERE job.id = given.body ->> 'id' AND job.claim = given.body ->> 'claim' AND job.node = given.body ->> 'node' AND job.state = 'executing'
  AND given.body ->> 'installation' = (SELECT value FROM meta WHERE key = 'installation_id')
RETURNING json_array(id)
