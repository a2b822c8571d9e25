-- The number of jobs.
SELECT count(*) FROM job WHERE {where}
