-- The first of the jobs :ids whose unique key another job holds, or that shares it with another of
-- them.
SELECT p.id, t.id
FROM json_each(:ids) i CROSS JOIN job p ON p.id = i.value CROSS JOIN job t ON t.unique_key = p.unique_key AND t.id <> p.id
WHERE t.unique_key IS NOT NULL AND (t.unique_scope = 2
  OR t.state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable') OR (t.unique_scope = 1 AND t.state = 'completed'))
UNION ALL
SELECT p.id, o.id
FROM json_each(:ids) i CROSS JOIN job p ON p.id = i.value
CROSS JOIN json_each(:ids) k CROSS JOIN job o ON o.id = k.value AND o.unique_key = p.unique_key AND o.id < p.id
ORDER BY 1, 2
LIMIT 1
