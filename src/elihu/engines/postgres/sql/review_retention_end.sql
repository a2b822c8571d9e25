-- The id up to which the next $2 jobs above $1 reach; NULL at the end.
SELECT max(id) FROM (SELECT id FROM elihu.job WHERE id > $1::bigint ORDER BY id LIMIT $2::integer) AS next
