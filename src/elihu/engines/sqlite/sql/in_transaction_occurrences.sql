-- Set the occurrences of jobs that were stored in the same transaction; UPDATE is the first word, see in_transaction_insert.sql.
-- The only parameter is a JSON array of objects, with times in whole microseconds.
UPDATE job SET occurrence = (given.value ->> 'at') / 1000000.0
FROM json_each(?) AS given
WHERE job.id = given.value ->> 'id'
