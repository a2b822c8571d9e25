-- Whether a node may be the first: nobody else enlists until the end of the transaction. $1 names the schema.
SELECT pg_advisory_xact_lock(hashtextextended('elihu enlist ' || $1, 0))
