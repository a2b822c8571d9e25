-- Which ends the guard lets through, and whether a relay waits for them. One writer: none is held by somebody else.
SELECT json_group_array(json_array(job.id, job.awaited))
FROM temp.ending e CROSS JOIN job
WHERE job.id = e.id AND job.claim = e.claim AND job.node = e.node AND job.state = e.held
