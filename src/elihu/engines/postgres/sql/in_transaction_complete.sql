-- Complete attempts in a transaction of their tasks, under the guard and in one database only.
-- Otherwise as exchange.sql, but it waits for row locks: the transaction is the caller's, who wants
-- it done. $1 is a JSON array, see in_transaction_insert.sql.
--
-- Returns the installation, for each attempt the job's state before and whether the end was
-- written, and how many callers were notified. A value is kept where it is wanted, or where a
-- caller began to wait while the attempt ran: under the row's lock that is known. An attempt that
-- failed, and whose error was handled in this transaction, has a run in any case.
WITH given AS MATERIALIZED (
  SELECT * FROM json_to_recordset(CAST(CAST($1 AS text) AS json)) AS end_of(id bigint, claim integer, node uuid, installation text,
    to_state text, outcome text, value text, reason text, error text, traceback text, log text, error_type text, wanted boolean,
    channel text, waited float8)
), here AS MATERIALIZED (
  SELECT value AS installation FROM elihu.meta WHERE key = 'installation_id'
), mine AS MATERIALIZED (
  SELECT j.id, j.claim, j.attempt, j.node,
    CASE WHEN j.ahead = j.claim AND given.waited > 0 THEN j.started_at + make_interval(secs => given.waited) ELSE j.started_at END AS started_at,
    j.awaited OR given.wanted AS kept, given.to_state, given.outcome,
    given.value, given.reason, given.error, given.traceback, given.log, given.error_type
  FROM given JOIN here USING (installation)
  CROSS JOIN LATERAL (
    SELECT * FROM elihu.job j
    WHERE j.id = given.id AND j.claim = given.claim AND j.node = given.node AND j.state = 'executing'
    FOR NO KEY UPDATE
  ) j
), done AS (
  UPDATE elihu.job j SET state = mine.to_state, intent = NULL,
    reason = CASE WHEN mine.kept OR mine.outcome <> 'completed' THEN mine.reason END,
    result = CASE WHEN mine.kept THEN mine.value::json END, orphans = 0, started_at = mine.started_at,
    finished_at = statement_timestamp()
  FROM mine
  WHERE j.id = mine.id
  RETURNING j.id, j.awaited
), history AS (
  INSERT INTO elihu.run (job_id, claim, attempt, node, started_at, ended_at, outcome, reason, error, traceback, log, error_type)
  SELECT id, claim, attempt, node, started_at, statement_timestamp(), outcome,
    CASE WHEN kept OR outcome <> 'completed' THEN reason END, error, traceback, log,
    CASE WHEN kept OR outcome <> 'completed' THEN error_type END
  FROM mine
  WHERE outcome <> 'completed' OR log IS NOT NULL OR (kept AND error_type IS NOT NULL)
), announced AS MATERIALIZED (
  SELECT pg_notify(given.channel, 'ended:' || done.id) FROM done JOIN given USING (id)
  WHERE done.awaited AND given.channel IS NOT NULL
)
SELECT json_build_array(
  (SELECT installation FROM here),
  (SELECT json_agg(json_build_array(given.id, j.state, done.id IS NOT NULL))
   FROM given LEFT JOIN LATERAL (SELECT state FROM elihu.job WHERE job.id = given.id) j ON true LEFT JOIN done USING (id)),
  (SELECT count(*) FROM announced))::text
