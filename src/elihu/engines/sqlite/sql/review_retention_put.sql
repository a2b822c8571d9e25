-- Store the rules, and the id up to which jobs are reviewed; NULL where all of them are.
INSERT INTO meta (key, value) VALUES ('retention', json_object('rules', :rules, 'reviewed', :reviewed))
ON CONFLICT (key) DO UPDATE SET value = excluded.value
