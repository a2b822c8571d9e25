-- Complete an attempt in a transaction of its task's, under the guard and in one database only; otherwise as exchange.sql, but it waits for
-- a row lock: the transaction is the caller's, who wants it done. $1 and the row as in in_transaction_insert.sql. Returns the installation, the
-- job's state as it was before, and whether it was done. Those who wait are told with the commit. The value is kept where it is wanted anyway,
-- or where somebody began to wait while the attempt ran: under the row's lock that is known.
WITH given AS MATERIALIZED (
  SELECT * FROM json_to_record(CAST(CAST($1 AS text) AS json)) AS end_of(id bigint, claim integer, node uuid, installation text, value text,
    reason text, log text, error_type text, wanted boolean, channel text)
), here AS MATERIALIZED (
  SELECT value AS installation FROM elihu.meta WHERE key = 'installation_id'
), mine AS MATERIALIZED (
  SELECT j.id, j.claim, j.attempt, j.node, j.started_at, j.awaited OR given.wanted AS kept
  FROM given JOIN here USING (installation) JOIN elihu.job j ON j.id = given.id AND j.claim = given.claim AND j.node = given.node
  WHERE j.state = 'executing'
  FOR NO KEY UPDATE OF j
), done AS (
  UPDATE elihu.job j SET state = 'completed', intent = NULL, reason = CASE WHEN mine.kept THEN given.reason END,
    result = CASE WHEN mine.kept THEN given.value::json END, orphans = 0, finished_at = statement_timestamp()
  FROM mine, given
  WHERE j.id = mine.id
  RETURNING j.id, j.awaited
), history AS (
  INSERT INTO elihu.run (job_id, claim, attempt, node, started_at, ended_at, outcome, reason, log, error_type)
  SELECT mine.id, mine.claim, mine.attempt, mine.node, mine.started_at, statement_timestamp(), 'completed',
    CASE WHEN mine.kept THEN given.reason END, given.log, CASE WHEN mine.kept THEN given.error_type END
  FROM mine, given
  WHERE given.log IS NOT NULL OR (mine.kept AND given.error_type IS NOT NULL)
), told AS MATERIALIZED (
  SELECT pg_notify(given.channel, 'ended:' || done.id) FROM done, given WHERE done.awaited AND given.channel IS NOT NULL
)
SELECT json_build_array((SELECT installation FROM here), (SELECT state FROM elihu.job WHERE id = (SELECT id FROM given)),
  EXISTS (SELECT FROM done), (SELECT count(*) FROM told))::text
