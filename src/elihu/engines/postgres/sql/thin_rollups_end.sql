-- Remove at most $2 hours that are older than $1 seconds.
WITH old AS (
  SELECT ctid FROM elihu.rollup WHERE period = 3600 AND at < now() - make_interval(secs => $1::float8) LIMIT $2::integer
), gone AS (
  DELETE FROM elihu.rollup USING old WHERE rollup.ctid = old.ctid RETURNING 1
)
SELECT count(*) AS removed FROM gone
