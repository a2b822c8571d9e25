-- Which ends the guard (id, node, claim) lets through, and whether a relay waits for them. One writer: none is held by somebody else.
-- CROSS JOIN: ending is the outer loop. +node keeps the planner off job_running, from which it would compare batch × slots rows.
SELECT json_group_array(json_array(job.id, job.awaited))
FROM temp.ending e CROSS JOIN job
WHERE job.id = e.id AND job.state = 'executing' AND job.claim = e.claim AND +job.node = :node
