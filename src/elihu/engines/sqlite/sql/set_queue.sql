-- Override the settings of a queue on every node; NULL leaves a setting as it was.
INSERT INTO queue (name, served, slots, paused) VALUES (:queue, :served, :limit, coalesce(:paused, 0))
ON CONFLICT (name) DO UPDATE SET served = coalesce(:served, served), slots = coalesce(:limit, slots), paused = coalesce(:paused, paused)
