-- Remove the nodes whose last beat is older than $1 seconds by the database's clock: for one that does not watch them for as long.
DELETE FROM elihu.node WHERE beat_at < now() - make_interval(secs => $1::float8) RETURNING id::text AS id
