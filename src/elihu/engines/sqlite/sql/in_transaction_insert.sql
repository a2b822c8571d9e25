-- Store jobs in a caller's transaction, through any driver. The only parameter is a JSON text: an
-- array of the rows that insert.sql takes as values, with times in whole microseconds, since
-- SQLite does not read decimal fractions exactly. INSERT is the first word, by which Python's
-- driver knows to begin a transaction. A caller's transaction may hold no lock yet, so that
-- another job with the key can be stored between a read and the insert, unlike in
-- insert_holders.sql. So the index decides, and the holders are read afterwards, under the lock.
INSERT INTO job (state, queue, task, priority, max_attempts, args, options, meta, tags, unique_key, unique_scope, inserted_at, scheduled_at, keep_until,
  expires_at, awaited, template, identifier)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9,
  value ->> 10, (value ->> 11) / 1000000.0, (value ->> 12) / 1000000.0, (value ->> 13) / 1000000.0, (value ->> 14) / 1000000.0,
  value ->> 15, value ->> 16, value ->> 17
FROM json_each(?)
WHERE true
ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND (unique_scope = 2
  OR state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable') OR (unique_scope = 1 AND state = 'completed')) DO NOTHING
RETURNING json_array(id, unique_key)
