-- At most :limit finished jobs that may be due, read without the write lock: those past prune_at,
-- and those without one past the shortest age of their state. The planner needs the conditions of
-- the indexes, word for word, to use them.
SELECT id, state, queue, task, finished_at, keep_until, awaited FROM (
  SELECT * FROM (
    SELECT * FROM job INDEXED BY job_prune
    WHERE prune_at IS NOT NULL AND state IN ('completed', 'discarded', 'cancelled') AND prune_at <= :now
    ORDER BY prune_at LIMIT :limit)
  UNION ALL SELECT * FROM (
    SELECT * FROM job INDEXED BY job_finished
    WHERE prune_at IS NULL AND state IN ('completed', 'discarded', 'cancelled')
      AND state = 'completed' AND finished_at <= :now - :completed
    ORDER BY finished_at LIMIT :limit)
  UNION ALL SELECT * FROM (
    SELECT * FROM job INDEXED BY job_finished
    WHERE prune_at IS NULL AND state IN ('completed', 'discarded', 'cancelled')
      AND state = 'cancelled' AND finished_at <= :now - :cancelled
    ORDER BY finished_at LIMIT :limit)
  UNION ALL SELECT * FROM (
    SELECT * FROM job INDEXED BY job_finished
    WHERE prune_at IS NULL AND state IN ('completed', 'discarded', 'cancelled')
      AND state = 'discarded' AND finished_at <= :now - :discarded
    ORDER BY finished_at LIMIT :limit))
LIMIT :limit
