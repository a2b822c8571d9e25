-- The database's clock, which ends the guard lets through, and whether a relay waits for them. One writer: none is held by another.
SELECT CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0, json_group_array(json_array(job.id, job.awaited))
FROM temp.ending e CROSS JOIN job
WHERE job.id = e.id AND job.claim = e.claim AND job.node = e.node AND job.state = e.held
