-- Why in_transaction_complete.sql completed nothing: the installation, and the state of the job.
SELECT json_array((SELECT value FROM meta WHERE key = 'installation_id'), (SELECT state FROM job WHERE id = ? ->> 'id'))
