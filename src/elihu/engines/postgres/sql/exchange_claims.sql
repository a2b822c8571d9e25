-- The last part of exchange.sql, exchange_plain.sql and exchange_fetch.sql, not a statement: fetch,
-- and answer. The first columns are the fields of ClaimedJob and begin with the order of fetch. The
-- row without an id has
-- the time at which the others were claimed, and the ids acknowledged. Rare values are NULL where they
-- are what most jobs have, since decoding a time or an array costs more than the rest of a row:
-- inserted_at where it is scheduled_at, tags where there are none.
--
-- Of the slots the last $13 are places to wait in the node, see engines/ahead.py.
-- A job that has started once never expires, and the node knows it by the missing expiry.
), taken AS (
  UPDATE elihu.job j SET state = 'executing', claim = claim + 1, attempt = attempt + 1, node = $1::uuid, started_at = now()/*ahead ,
    ahead = CASE WHEN f.place > $3::integer - $13::integer THEN claim + 1 END,
    expires_at = CASE WHEN $13::integer > 0 AND started_at IS NOT NULL THEN NULL ELSE expires_at END ahead*/
  FROM unnest(ARRAY(
      SELECT id FROM elihu.job
      WHERE state = 'available' AND queue = $2 AND queue BETWEEN $2 AND $2
        AND (priority, scheduled_at, id) > ($4::smallint, $5::timestamptz, $6::bigint)
        AND (expires_at IS NULL OR expires_at > now() OR started_at IS NOT NULL)
        AND CASE WHEN task = ANY($7::text[]) OR claim = 2000000000 OR attempt = 2000000000 THEN false ELSE true END
      ORDER BY priority, scheduled_at, id
      LIMIT $3::integer
      FOR NO KEY UPDATE SKIP LOCKED))/*ahead  WITH ORDINALITY ahead*/ AS f(id/*ahead , place ahead*/)
  WHERE j.id = f.id AND f.id = f.id + 0
    AND EXISTS (SELECT 1 FROM elihu.node WHERE node.id = $1::uuid)
  RETURNING priority, scheduled_at, j.id, claim, task, args, attempt, max_attempts, orphans, awaited, options, meta,
    encode(unique_key, 'hex') AS unique_key, template, identifier, expires_at, occurrence,
    nullif(tags, '{}') AS tags, nullif(inserted_at, scheduled_at) AS inserted_at
)
SELECT NULL::smallint AS priority, NULL::timestamptz AS scheduled_at, NULL::bigint AS id, NULL::integer AS claim, NULL::text AS task,
  NULL::json AS args, NULL::integer AS attempt, NULL::integer AS max_attempts, NULL::smallint AS orphans, NULL::boolean AS awaited,
  NULL::json AS options, NULL::json AS meta, NULL::text AS unique_key, NULL::text AS template, NULL::text AS identifier,
  NULL::timestamptz AS expires_at, NULL::timestamptz AS occurrence, NULL::text[] AS tags, NULL::timestamptz AS inserted_at,
  now() AS claimed_at, ARRAY(SELECT id FROM acked WHERE NOT acked.awaited) AS acked,
  ARRAY(SELECT id FROM acked WHERE acked.awaited) AS acked_awaited
UNION ALL
SELECT *, NULL, NULL, NULL FROM taken
