-- Counts from $1 to before $2 in steps of $3 seconds, by a column and outcome; of queue $4 and task $5 alone where these are
-- given. Hours take part where the minutes are gone. $6 bounds the rows.
SELECT date_bin(make_interval(secs => $3::integer), at, 'epoch') AS at, /* filter */ AS key, outcome,
  sum(jobs) AS jobs, sum(run_ms) AS run_ms, sum(wait_ms) AS wait_ms, sum(run_0) AS run_0,
  sum(run_1) AS run_1, sum(run_2) AS run_2, sum(run_3) AS run_3, sum(run_4) AS run_4, sum(run_5) AS run_5,
  sum(run_6) AS run_6, sum(run_7) AS run_7, sum(run_8) AS run_8, sum(run_9) AS run_9, sum(run_10) AS run_10,
  sum(run_11) AS run_11, sum(run_12) AS run_12, sum(run_13) AS run_13, sum(wait_0) AS wait_0,
  sum(wait_1) AS wait_1, sum(wait_2) AS wait_2, sum(wait_3) AS wait_3, sum(wait_4) AS wait_4,
  sum(wait_5) AS wait_5, sum(wait_6) AS wait_6, sum(wait_7) AS wait_7, sum(wait_8) AS wait_8,
  sum(wait_9) AS wait_9, sum(wait_10) AS wait_10, sum(wait_11) AS wait_11, sum(wait_12) AS wait_12,
  sum(wait_13) AS wait_13
FROM elihu.rollup
WHERE period IN (60, 3600) AND at >= $1::timestamptz AND at < $2::timestamptz
  AND ($4::text IS NULL OR queue = $4::text) AND ($5::text IS NULL OR task = $5::text)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
LIMIT $6::integer
