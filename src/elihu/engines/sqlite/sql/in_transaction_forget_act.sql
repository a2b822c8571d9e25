-- Take back what in_transaction_act_once.sql wrote in the same transaction; DELETE is the first word, see in_transaction_insert.sql.
-- The only parameter is the same JSON object.
DELETE FROM trigger_ledger WHERE (trigger, digest) IN (
  SELECT given.body ->> 'trigger', digest.value FROM (SELECT ? AS body) AS given, json_each(given.body, '$.digests') AS digest)
