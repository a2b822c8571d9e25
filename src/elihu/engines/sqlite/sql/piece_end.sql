-- The newest id. A bulk verb ends there, however fast jobs arrive.
SELECT coalesce(max(id), 0) FROM job
