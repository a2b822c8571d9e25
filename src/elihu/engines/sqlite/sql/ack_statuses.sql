-- Why ends did not come back from an exchange; :acks is an array of [id, claim, outcome]. Asked of a few only. A run exists for each end but a
-- plain completion, which the job row itself shows. Busy means not written yet: with one writer no row is held by somebody else.
SELECT d.value ->> 0, d.value ->> 1,
  CASE
    WHEN j.state = 'executing' AND j.claim = d.value ->> 1 AND j.node = :node THEN 'busy'
    WHEN r.outcome = d.value ->> 2 OR (d.value ->> 2 = 'completed' AND j.state = 'completed' AND j.claim = d.value ->> 1) THEN 'written'
    ELSE 'refused'
  END
FROM json_each(:acks) d
LEFT JOIN job j ON j.id = d.value ->> 0
LEFT JOIN run r ON r.job_id = d.value ->> 0 AND r.claim = d.value ->> 1
