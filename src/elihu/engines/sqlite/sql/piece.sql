-- Those of the picked jobs that a bulk verb still covers, under the write lock.
SELECT json_group_array(json_array(id, queue, state, node, scheduled_at <= :now, awaited)) FROM job
WHERE id IN (SELECT value FROM json_each(:picked)) AND {where}
