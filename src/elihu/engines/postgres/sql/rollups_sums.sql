-- Counts from $1 to before $2 in steps of $3 seconds, by a column and outcome, without the histograms; of queue $4 and task $5 alone where these are
-- given. Hours take part where the minutes are gone. $6 bounds the rows.
SELECT date_bin(make_interval(secs => $3::integer), at, 'epoch') AS at, /* filter */ AS key, outcome,
  sum(jobs) AS jobs, sum(run_ms) AS run_ms, sum(wait_ms) AS wait_ms
FROM elihu.rollup
WHERE period IN (60, 3600) AND at >= $1::timestamptz AND at < $2::timestamptz
  AND ($4::text IS NULL OR queue = $4::text) AND ($5::text IS NULL OR task = $5::text)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
LIMIT $6::integer
