-- Store jobs: one row of values a job. Values rather than JSON: twice as fast, and NUL survives. INSERT is the first word. One statement
-- for many rows, and no RETURNING: under the write lock AUTOINCREMENT gives consecutive ids, of which the last is known. PostgreSQL's
-- sequence has gaps, so there the ids come back.
INSERT INTO job (state, queue, task, priority, max_attempts, args, options, meta, tags, unique_key, unique_scope, inserted_at, scheduled_at, keep_until,
  expires_at, awaited, template, identifier)
VALUES {rows}
