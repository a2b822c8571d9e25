-- Store the rules $1, and $2, the id up to which jobs are reviewed; NULL where all of them are.
INSERT INTO elihu.meta (key, value) VALUES ('retention', json_build_object('rules', $1::text, 'reviewed', $2::bigint)::text)
ON CONFLICT (key) DO UPDATE SET value = excluded.value
