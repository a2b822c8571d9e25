-- Which of the claims that node $1 holds, $2 ids and $3 claims, are no longer its own: stopped, rescued or deleted behind its back.
SELECT h.id, h.claim
FROM unnest($2::bigint[], $3::integer[]) AS h(id, claim)
WHERE NOT EXISTS (
  -- OFFSET 0: looked up by id, one by one; as a join it might start at job_running
  SELECT FROM (SELECT state, claim, node FROM elihu.job j WHERE j.id = h.id OFFSET 0) j
  WHERE j.state = 'executing' AND j.claim = h.claim AND j.node = $1::uuid)
ORDER BY h.id
