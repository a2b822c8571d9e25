-- Remove those of :ids that are still as they were picked.
DELETE FROM job WHERE id IN (SELECT value FROM json_each(:ids)) AND state = :state AND finished_at < :now - :age
  AND (NOT awaited OR finished_at < :now - 3600.0)
