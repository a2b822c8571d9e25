-- Why ends were not confirmed by an exchange; :acks is an array of [id, claim, outcome]. Called
-- for a few ends only. Every end but a plain completion has a run; a plain completion is in the
-- job row. With one writer, busy means not written yet.
SELECT d.value ->> 0, d.value ->> 1,
  CASE
    WHEN j.state = 'executing' AND j.claim = d.value ->> 1 AND j.node = :node THEN 'busy'
    WHEN r.outcome = d.value ->> 2 OR (d.value ->> 2 = 'completed' AND j.state = 'completed' AND j.claim = d.value ->> 1) THEN 'written'
    ELSE 'refused'
  END
FROM json_each(:acks) d
LEFT JOIN job j ON j.id = d.value ->> 0
LEFT JOIN run r ON r.job_id = d.value ->> 0 AND r.claim = d.value ->> 1
