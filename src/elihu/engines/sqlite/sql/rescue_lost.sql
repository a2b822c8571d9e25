-- Executing jobs whose node is no more, as a JSON array of ids. INDEXED BY: for ORDER BY id the planner might rather walk the whole table.
SELECT json_group_array(id) FROM (
  SELECT id FROM job INDEXED BY job_running
  WHERE state = 'executing' AND NOT EXISTS (SELECT 1 FROM node n WHERE n.id = job.node)
  ORDER BY id LIMIT :limit)
