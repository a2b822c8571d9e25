-- The id up to which the next :limit jobs above :after reach; NULL at the end.
SELECT max(id) FROM (SELECT id FROM job WHERE id > :after ORDER BY id LIMIT :limit)
