-- Why in_transaction_complete.sql did not end some attempts: which database this is, and the states of the jobs.
SELECT json_array((SELECT value FROM meta WHERE key = 'installation_id'), given.value ->> 'id', (SELECT state FROM job WHERE id = given.value ->> 'id'))
FROM json_each(?) AS given
