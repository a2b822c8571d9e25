-- in_transaction_complete.sql where every end is a plain completion with the same value: nearly always, and always in the
-- transaction of a trigger. It costs the server a tenth of the other for one attempt. $1 is a JSON object; "claims" has the claim of
-- each job by its id. The UPDATE itself takes the row locks, and looks at the guard again after it has waited for one.
--
-- Returns the jobs whose ends were written. A job that is missing lost its claim, or is in another database: then
-- in_transaction_complete.sql says which. tests/engines compare the two on the same jobs.
WITH given AS MATERIALIZED (
  SELECT CAST(CAST($1 AS text) AS jsonb) AS body
)
UPDATE elihu.job j SET state = 'completed', intent = NULL, reason = NULL, orphans = 0, finished_at = statement_timestamp(),
  result = CASE WHEN j.awaited OR (body ->> 'wanted')::boolean THEN (body ->> 'value')::json END
FROM given
WHERE j.id = ANY ((body ->> 'ids')::bigint[]) AND j.claim = (body -> 'claims' ->> j.id::text)::integer
  AND j.node = (body ->> 'node')::uuid AND j.state = 'executing'
  AND body ->> 'installation' = (SELECT value FROM elihu.meta WHERE key = 'installation_id')
RETURNING json_build_array(j.id,
  CASE WHEN j.awaited AND body ->> 'channel' IS NOT NULL THEN pg_notify(body ->> 'channel', 'ended:' || j.id)::text END)::text
