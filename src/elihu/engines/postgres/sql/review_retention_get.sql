-- The rules of the last round, and the id up to which jobs were reviewed since they changed. The
-- row stays locked, so that one process reviews at a time.
SELECT value::json ->> 'rules' AS rules, (value::json ->> 'reviewed')::bigint AS reviewed
FROM elihu.meta WHERE key = 'retention' FOR UPDATE
