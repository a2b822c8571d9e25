-- Cancel the jobs :ids, which expire_due.sql found under the same lock.
UPDATE job SET state = 'cancelled', reason = 'expired', finished_at = :now WHERE id IN (SELECT value FROM json_each(:ids))
