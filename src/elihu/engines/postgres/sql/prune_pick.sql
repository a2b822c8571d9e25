-- At most $1 finished jobs that may be due: those past prune_at, and those without one past the
-- shortest age of their state, $2 completed, $3 cancelled, $4 discarded. The planner needs the
-- conditions of the indexes to use them.
(SELECT id, state, queue, task, finished_at, extract(epoch FROM now() - finished_at)::float8 AS age,
    extract(epoch FROM keep_until - now())::float8 AS kept, awaited
  FROM elihu.job
  WHERE prune_at IS NOT NULL AND state IN ('completed','discarded','cancelled') AND prune_at <= now()
  ORDER BY prune_at LIMIT $1::integer)
UNION ALL (SELECT id, state, queue, task, finished_at, extract(epoch FROM now() - finished_at)::float8,
    extract(epoch FROM keep_until - now())::float8, awaited
  FROM elihu.job
  WHERE prune_at IS NULL AND state = 'completed' AND finished_at <= now() - make_interval(secs => $2::float8)
  ORDER BY finished_at LIMIT $1::integer)
UNION ALL (SELECT id, state, queue, task, finished_at, extract(epoch FROM now() - finished_at)::float8,
    extract(epoch FROM keep_until - now())::float8, awaited
  FROM elihu.job
  WHERE prune_at IS NULL AND state = 'cancelled' AND finished_at <= now() - make_interval(secs => $3::float8)
  ORDER BY finished_at LIMIT $1::integer)
UNION ALL (SELECT id, state, queue, task, finished_at, extract(epoch FROM now() - finished_at)::float8,
    extract(epoch FROM keep_until - now())::float8, awaited
  FROM elihu.job
  WHERE prune_at IS NULL AND state = 'discarded' AND finished_at <= now() - make_interval(secs => $4::float8)
  ORDER BY finished_at LIMIT $1::integer)
LIMIT $1::integer
