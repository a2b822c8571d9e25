-- Store jobs that differ in arguments and unique key alone, except those whose key another job has. What they have in common is bound
-- once. The holders are not asked for, as insert.sql needs it: nobody wants their ids. WHERE true keeps ON from being read as a join's.
INSERT INTO job (state, queue, task, priority, max_attempts, options, meta, tags, unique_scope, inserted_at, scheduled_at, keep_until,
  expires_at, awaited, template, identifier, args, unique_key)
SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, column1, column2 FROM (VALUES {rows}) WHERE true
ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND (unique_scope = 2
  OR state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable') OR (unique_scope = 1 AND state = 'completed')) DO NOTHING
