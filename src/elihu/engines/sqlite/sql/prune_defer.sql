-- When the jobs in :later are read again, an array of [id, microseconds of prune_at].
UPDATE job SET prune_at = (d.value ->> 1) / 1000000.0 FROM json_each(:later) d
WHERE job.id = d.value ->> 0 AND job.finished_at IS NOT NULL
