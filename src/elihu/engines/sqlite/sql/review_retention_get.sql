-- The rules of the last round, and the id up to which jobs were reviewed since they changed.
SELECT value ->> 'rules', value ->> 'reviewed' FROM meta WHERE key = 'retention'
