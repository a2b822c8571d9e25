-- Say of a queue to every node whether it is served, its slots and whether it is paused; what is NULL stays as it was said.
INSERT INTO queue (name, served, slots, paused) VALUES (:queue, :served, :limit, coalesce(:paused, 0))
ON CONFLICT (name) DO UPDATE SET served = coalesce(:served, served), slots = coalesce(:limit, slots), paused = coalesce(:paused, paused)
