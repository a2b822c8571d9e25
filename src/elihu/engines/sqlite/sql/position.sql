-- The place of an available job in the order of fetch of its queue; NULL in any other state.
SELECT CASE WHEN j.state = 'available' THEN (
  SELECT count(*) FROM job o
  WHERE o.state = 'available' AND o.queue = j.queue AND (o.priority, o.scheduled_at, o.id) <= (j.priority, j.scheduled_at, j.id)) END
FROM job j
WHERE j.id = :id
