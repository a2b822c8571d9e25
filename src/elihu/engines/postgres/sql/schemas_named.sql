-- The schemas whose names begin with $1.
SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE starts_with(nspname, $1::text)
ORDER BY nspname
