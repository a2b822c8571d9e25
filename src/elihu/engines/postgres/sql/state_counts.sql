-- The number of jobs of each state, counted up to $1 in each partial index. A state may have two rows. ORDER BY keeps the
-- planner, which does not know $1, from reading the table.
SELECT 'suspended' AS state, count(*) AS jobs FROM (SELECT 1 FROM elihu.job WHERE state = 'suspended'
  ORDER BY id LIMIT $1::integer) AS found
UNION ALL
SELECT 'available' AS state, count(*) AS jobs FROM (SELECT 1 FROM elihu.job WHERE state = 'available'
  ORDER BY queue, priority, scheduled_at, id LIMIT $1::integer) AS found
UNION ALL
SELECT 'executing' AS state, count(*) AS jobs FROM (SELECT 1 FROM elihu.job WHERE state = 'executing'
  ORDER BY node, id LIMIT $1::integer) AS found
UNION ALL
SELECT state, count(*)
FROM (SELECT state FROM elihu.job
  WHERE state IN ('scheduled','retryable')
  ORDER BY scheduled_at, id LIMIT $1::integer) AS found GROUP BY state
UNION ALL
SELECT 'completed', count(*) FROM (SELECT 1 FROM elihu.job WHERE state = 'completed' AND prune_at IS NULL AND state IN ('completed','discarded','cancelled')
  ORDER BY finished_at LIMIT $1::integer) AS found
UNION ALL
SELECT 'discarded', count(*) FROM (SELECT 1 FROM elihu.job WHERE state = 'discarded' AND state IN ('discarded','cancelled')
  ORDER BY finished_at, id LIMIT $1::integer) AS found
UNION ALL
SELECT 'cancelled', count(*) FROM (SELECT 1 FROM elihu.job WHERE state = 'cancelled' AND state IN ('discarded','cancelled')
  ORDER BY finished_at, id LIMIT $1::integer) AS found
UNION ALL
SELECT state, count(*) FROM (SELECT state FROM elihu.job WHERE prune_at IS NOT NULL AND state IN ('completed','discarded','cancelled')
  ORDER BY prune_at DESC LIMIT $1::integer) AS found WHERE state = 'completed' GROUP BY state
