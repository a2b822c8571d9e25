-- Why acknowledgements did not come back from an exchange: $1 ids, $2 claims, $3 outcomes, $4 node.
-- Each end has a run, except a plain completion, which the job's row shows.
SELECT d.id, d.claim,
  CASE
    WHEN j.state = 'executing' AND j.claim = d.claim AND j.node = $4::uuid THEN 'busy'
    WHEN r.outcome = d.outcome OR (d.outcome = 'completed' AND j.state = 'completed' AND j.claim = d.claim) THEN 'written'
    ELSE 'refused'
  END AS status
FROM unnest($1::bigint[], $2::integer[], $3::text[]) AS d(id, claim, outcome)
LEFT JOIN elihu.job j ON j.id = d.id
LEFT JOIN elihu.run r ON r.job_id = d.id AND r.claim = d.claim
