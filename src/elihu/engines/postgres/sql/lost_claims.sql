-- The claims of node $1, $2 ids and $3 claims, that no longer belong to it: the job was stopped,
-- rescued or deleted.
SELECT h.id, h.claim
FROM unnest($2::bigint[], $3::integer[]) AS h(id, claim)
WHERE NOT EXISTS (
  -- OFFSET 0: looked up by id, one by one; as a join it might start at job_running
  SELECT FROM (SELECT state, claim, node FROM elihu.job j WHERE j.id = h.id OFFSET 0) j
  WHERE j.state = 'executing' AND j.claim = h.claim AND j.node = $1::uuid)
ORDER BY h.id
