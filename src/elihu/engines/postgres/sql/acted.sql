-- The digests among $2 on which trigger $1 has acted; with $3, within the last $3 seconds.
SELECT digest FROM elihu.trigger_ledger
WHERE trigger = $1 AND digest = ANY($2::bytea[]) AND ($3::float8 IS NULL OR acted_at > now() - make_interval(secs => $3::float8))
