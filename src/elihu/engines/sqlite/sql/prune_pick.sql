-- The oldest :limit jobs that a retention rule covers, read without the write lock. The planner
-- needs the condition of job_finished, the list of states, to use it. An awaited job stays for an
-- hour.
SELECT json_group_array(id) FROM (
  SELECT id FROM job INDEXED BY job_finished
  WHERE state IN ('completed', 'discarded', 'cancelled') AND state = :state AND finished_at < :now - :age
    AND (keep_until IS NULL OR keep_until <= :now) AND (NOT awaited OR finished_at < :now - 3600.0)
    AND (:queue IS NULL OR queue = :queue) AND (:task IS NULL OR task = :task)
    AND queue NOT IN (SELECT value FROM json_each(:except_queues)) AND task NOT IN (SELECT value FROM json_each(:except_tasks))
  ORDER BY finished_at
  LIMIT :limit)
