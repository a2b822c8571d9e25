-- Complete an attempt in a transaction of its task's, under the guard and in one database only. The only parameter is a JSON text; UPDATE is the
-- first word, see caller_insert.sql.
UPDATE job SET state = 'completed', intent = NULL, reason = given.body ->> 'reason', result = given.body ->> 'value', orphans = 0,
  finished_at = (given.body ->> 'now') / 1000000.0
FROM (SELECT ? AS body) AS given
WHERE job.id = given.body ->> 'id' AND job.claim = given.body ->> 'claim' AND job.node = given.body ->> 'node' AND job.state = 'executing'
  AND given.body ->> 'installation' = (SELECT value FROM meta WHERE key = 'installation_id')
RETURNING json_array(id)
