-- Which of the claims in :held, an array of [id, claim], are no longer those of node :node: their
-- jobs were stopped, rescued or deleted.
SELECT h.value ->> 0, h.value ->> 1
FROM json_each(:held) h
WHERE NOT EXISTS (
  SELECT 1 FROM job j WHERE j.id = h.value ->> 0 AND +j.state = 'executing' AND j.claim = h.value ->> 1 AND +j.node = :node)
ORDER BY h.value ->> 0
