-- Remove those of :due, an array of [id, microseconds of finished_at], that are still as they were
-- picked. Their runs go by a trigger.
DELETE FROM job WHERE id IN (
  SELECT j.id FROM json_each(:due) d CROSS JOIN job j ON j.id = d.value ->> 0
  WHERE j.state IN ('completed', 'discarded', 'cancelled') AND CAST(j.finished_at * 1000000.0 + 0.5 AS INTEGER) = d.value ->> 1
    AND (NOT j.awaited OR j.finished_at <= :now - 3600.0))
