-- Remove the nodes whose last heartbeat is more than $1 seconds ago by the database's clock, for
-- callers that do not watch the beats.
DELETE FROM elihu.node WHERE beat_at < now() - make_interval(secs => $1::float8) RETURNING id::text AS id
