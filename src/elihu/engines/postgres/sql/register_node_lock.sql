-- Let one node register at a time, until the end of the transaction. $1 is the schema's name.
SELECT pg_advisory_xact_lock(hashtextextended('elihu register ' || $1, 0))
