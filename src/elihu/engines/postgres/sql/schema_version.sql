-- The version of the tables; the table itself is absent where there are none.
SELECT value::integer FROM elihu.meta WHERE key = 'schema_version'
