-- Executing jobs whose node is not registered, as a JSON array of ids. Without INDEXED BY the
-- planner might read the whole table for ORDER BY id.
SELECT json_group_array(id) FROM (
  SELECT id FROM job INDEXED BY job_running
  WHERE state = 'executing' AND NOT EXISTS (SELECT 1 FROM node n WHERE n.id = job.node)
  ORDER BY id LIMIT :limit)
