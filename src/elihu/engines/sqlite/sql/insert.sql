-- Store jobs, one row of values for each. Values are twice as fast as JSON, and NUL survives.
-- INSERT is the first word. One statement stores many rows without RETURNING: under the write lock
-- AUTOINCREMENT gives consecutive ids, of which the last is known. PostgreSQL's sequence has gaps,
-- so it returns the ids.
INSERT INTO job (state, queue, task, priority, max_attempts, args, options, meta, tags, unique_key, unique_scope, inserted_at, scheduled_at, keep_until,
  expires_at, awaited, template, identifier)
VALUES {rows}
