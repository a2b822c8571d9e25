-- Raise the beat of node $1. Where $2 is not NULL, renew the leadership that the node has for $2
-- seconds. Read the beats of the other nodes, the rest of the leader's lease, which the database's
-- clock measures, whether jobs execute in the node's name, a digest of the queue overrides that
-- apply to it, whether it leads, and for a leader a digest of the cron entries and the nodes. A
-- heartbeat waits for no lock of the leader's row: leads is NULL where another transaction holds it.
WITH mine AS (
  UPDATE elihu.node SET beat = beat + 1, beat_at = now() WHERE id = $1::uuid RETURNING id
), lease AS (
  UPDATE elihu.leader SET expires_at = now() + make_interval(secs => $2::float8)
  WHERE EXISTS (SELECT FROM mine) AND single = ANY(ARRAY(
    SELECT single FROM elihu.leader WHERE node = $1::uuid AND $2::float8 IS NOT NULL
    FOR NO KEY UPDATE SKIP LOCKED))
  RETURNING node
)
SELECT EXISTS (SELECT FROM mine) AS known,
  ARRAY(SELECT id::text FROM elihu.node WHERE id <> $1::uuid ORDER BY id) AS ids,
  ARRAY(SELECT beat FROM elihu.node WHERE id <> $1::uuid ORDER BY id) AS beats,
  (SELECT greatest(extract(epoch FROM expires_at - now()), 0)::float8 FROM elihu.leader) AS lease_ends_in,
  EXISTS (SELECT FROM elihu.job WHERE state = 'executing' AND node = $1::uuid) AS executes,
  (SELECT md5(coalesce(string_agg(o, ';' ORDER BY o), '')) FROM (
     SELECT q::text AS o FROM elihu.queue q UNION ALL SELECT n::text FROM elihu.node_queue n WHERE n.node = $1::uuid) all_of_it
  ) AS overrides,
  extract(epoch FROM now())::float8 AS now,
  CASE
    WHEN EXISTS (SELECT FROM lease) THEN true
    WHEN $2::float8 IS NOT NULL
      AND NOT EXISTS (SELECT FROM elihu.leader WHERE node = $1::uuid) THEN false
  END AS leads,
  CASE WHEN $2::float8 IS NOT NULL THEN (
    SELECT md5(coalesce(string_agg(o, ';' ORDER BY o), '')) FROM (
      SELECT (c.name, c.rev, c.paused, c.last_tick)::text AS o FROM elihu.cron c
      UNION ALL SELECT n.id::text FROM elihu.node n) all_of_it)
  END AS crons
