-- The jobs :ids after the change.
SELECT job.id, queue, state, awaited FROM json_each(:ids) i CROSS JOIN job ON job.id = i.value ORDER BY job.id
