-- A row if jobs execute in the name of node :node.
SELECT 1 FROM job INDEXED BY job_running WHERE state = 'executing' AND node = :node LIMIT 1
