-- The newest id: a bulk verb stops there, however fast jobs arrive.
SELECT coalesce(max(id), 0) FROM job
