-- The next jobs of a bulk verb, read without the write lock and in order of id, so that each is
-- met once.
SELECT json_group_array(id), max(id) FROM (
  SELECT id FROM job WHERE id > :last AND id <= :end AND {where} ORDER BY id LIMIT :limit)
