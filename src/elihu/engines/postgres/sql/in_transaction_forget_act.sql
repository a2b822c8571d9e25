-- Take back what in_transaction_act_once.sql wrote in the same transaction. The only parameter is the same JSON object. A row that
-- was there before was older than its period, so it counted for nothing.
WITH given AS MATERIALIZED (
  SELECT * FROM json_to_record(CAST(CAST($1 AS text) AS json)) AS act(trigger text, digests json)
)
DELETE FROM elihu.trigger_ledger l USING given, json_array_elements_text(given.digests) AS hex
WHERE l.trigger = given.trigger AND l.digest = decode(hex, 'hex')
