-- Write that a trigger acts on records, in the transaction of the action. $1 as in
-- in_transaction_insert.sql. Returns the installation and the digests that were written: those on
-- which the trigger has not acted, with a period not within the last so many seconds.
WITH given AS MATERIALIZED (
  SELECT * FROM json_to_record(CAST(CAST($1 AS text) AS json)) AS act(trigger text, digests json, period float8)
), written AS (
  INSERT INTO elihu.trigger_ledger (trigger, digest, acted_at, period)
  SELECT trigger, decode(digest, 'hex'), statement_timestamp(), period FROM given, json_array_elements_text(digests) AS digest ORDER BY digest
  ON CONFLICT (trigger, digest) DO UPDATE SET acted_at = excluded.acted_at, period = excluded.period
  WHERE trigger_ledger.acted_at <= excluded.acted_at - make_interval(secs => excluded.period)
  RETURNING digest
)
SELECT json_build_array((SELECT value FROM elihu.meta WHERE key = 'installation_id'),
  (SELECT coalesce(json_agg(encode(digest, 'hex')), '[]') FROM written))::text
