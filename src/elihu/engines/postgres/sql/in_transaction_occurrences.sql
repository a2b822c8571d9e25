-- Set the occurrences of jobs that were stored in the same transaction. The only parameter is a JSON array of objects.
UPDATE elihu.job j SET occurrence = given.at
FROM json_to_recordset(CAST(CAST($1 AS text) AS json)) AS given(id bigint, at timestamptz)
WHERE j.id = given.id
