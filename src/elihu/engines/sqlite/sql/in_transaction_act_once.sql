-- Write that a trigger acts on records, in the transaction of the action; INSERT is the first word, see in_transaction_insert.sql.
-- Returns the digests that were written: those on which the trigger has not acted, with a period not within the last so many
-- seconds.
INSERT INTO trigger_ledger (trigger, digest, acted_at, period)
SELECT given.body ->> 'trigger', digest.value, (given.body ->> 'now') / 1000000.0, given.body ->> 'period'
FROM (SELECT ? AS body) AS given, json_each(given.body, '$.digests') AS digest
WHERE true
ON CONFLICT (trigger, digest) DO UPDATE SET acted_at = excluded.acted_at, period = excluded.period
WHERE excluded.period IS NOT NULL AND trigger_ledger.acted_at <= excluded.acted_at - excluded.period
RETURNING json_array(digest)
