-- exchange_plain.sql where no attempt has ended: what an idle node sends when a queue is announced.
-- It has $1-$7 of the values. The server would spend a tenth of that statement on an update of no
-- rows.
WITH acked AS (
  SELECT NULL::bigint AS id, NULL::boolean AS awaited
  WHERE false
/* exchange_claims */
