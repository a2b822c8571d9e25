-- Enqueueing from other languages: `SELECT elihu.enqueue('task.name', '{"user_id": 7}', queue => 'mail')`. Part of the caller's transaction,
-- and announced with its commit where the job is due. Arguments are checked against the task when the job runs: only its code knows them.
-- The channel is found by the schema's name at the time of the call.
CREATE FUNCTION elihu.enqueue(
  task text,
  args json DEFAULT '{}',
  queue text DEFAULT 'default',
  priority integer DEFAULT 0,
  max_attempts integer DEFAULT 20,
  delay interval DEFAULT NULL,
  run_at timestamptz DEFAULT NULL,
  tags text[] DEFAULT '{}',
  meta json DEFAULT NULL
) RETURNS bigint LANGUAGE plpgsql AS $function$
#variable_conflict use_column
DECLARE
  due timestamptz := coalesce(enqueue.run_at, statement_timestamp() + enqueue.delay, statement_timestamp());
  known_tags text[] := ARRAY(
    SELECT tag FROM (
      SELECT lower(btrim(given.tag, E' \t\n\r\f\v')) AS tag, min(given.place) AS place
      FROM unnest(enqueue.tags) WITH ORDINALITY AS given(tag, place) GROUP BY 1
    ) AS trimmed ORDER BY place);
  fault text := CASE
    WHEN enqueue.task IS NULL OR length(enqueue.task) NOT BETWEEN 1 AND 200 OR enqueue.task ~ '[[:cntrl:]]'
      THEN 'task: expected a text of 1 to 200 characters without control characters, got ' || coalesce(quote_literal(enqueue.task), 'NULL')
    WHEN enqueue.queue IS NULL OR length(enqueue.queue) NOT BETWEEN 1 AND 200 OR enqueue.queue ~ '[[:cntrl:]]'
      THEN 'queue: expected a text of 1 to 200 characters without control characters, got ' || coalesce(quote_literal(enqueue.queue), 'NULL')
    WHEN enqueue.args IS NULL OR json_typeof(enqueue.args) <> 'object'
      THEN 'args: expected an object of keywords, got ' || coalesce(json_typeof(enqueue.args), 'NULL')
    WHEN json_typeof(enqueue.meta) <> 'object'
      THEN 'meta: expected an object, got ' || json_typeof(enqueue.meta)
    WHEN enqueue.priority IS NULL OR enqueue.priority NOT BETWEEN 0 AND 9
      THEN 'priority: expected a whole number from 0 to 9, got ' || coalesce(enqueue.priority::text, 'NULL')
    WHEN enqueue.max_attempts IS NULL OR enqueue.max_attempts NOT BETWEEN 1 AND 1000000
      THEN 'max_attempts: expected a whole number from 1 to 1,000,000, got ' || coalesce(enqueue.max_attempts::text, 'NULL')
    WHEN enqueue.delay IS NOT NULL AND enqueue.run_at IS NOT NULL
      THEN 'expected delay or run_at, got both'
    WHEN enqueue.delay < interval '0'
      THEN 'delay: expected no negative interval, got ' || enqueue.delay::text
    WHEN NOT isfinite(due)
      THEN 'run_at: expected a time, got ' || due::text
    WHEN cardinality(known_tags) > 100
      THEN 'tags: expected at most 100 tags, got ' || cardinality(known_tags)::text
    WHEN EXISTS (SELECT FROM unnest(known_tags) AS tag WHERE tag IS NULL OR length(tag) NOT BETWEEN 1 AND 200 OR tag ~ '[[:cntrl:]]')
      THEN 'tags: expected texts of 1 to 200 characters without control characters, got ' || enqueue.tags::text
  END;
  stored bigint;
BEGIN
  IF fault IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'enqueue: ' || fault;
  END IF;
  INSERT INTO elihu.job (state, task, args, queue, priority, max_attempts, tags, meta, inserted_at, scheduled_at)
  VALUES (CASE WHEN due > statement_timestamp() THEN 'scheduled' ELSE 'available' END, enqueue.task, enqueue.args, enqueue.queue,
    enqueue.priority, enqueue.max_attempts, known_tags, enqueue.meta, statement_timestamp(), due)
  RETURNING id INTO stored;
  IF due <= statement_timestamp() THEN
    PERFORM pg_notify('elihu_' || nspname || '_signal', 'jobs:' || enqueue.queue)
    FROM pg_catalog.pg_namespace WHERE oid = (SELECT relnamespace FROM pg_catalog.pg_class WHERE pg_class.oid = 'elihu.job'::regclass);
  END IF;
  RETURN stored;
END
$function$;
