-- The database's clock, the ends that pass the guard, and whether their jobs are awaited. With one
-- writer no row is locked.
SELECT CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0, json_group_array(json_array(job.id, job.awaited))
FROM temp.ending e CROSS JOIN job
WHERE job.id = e.id AND job.claim = e.claim AND job.node = e.node AND job.state = e.held
