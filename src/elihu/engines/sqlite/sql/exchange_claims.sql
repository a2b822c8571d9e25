-- The jobs that node :node claims, read under the write lock just before exchange_fetch.sql takes
-- them. They come as one JSON text, since rows of RETURNING are fetched one by one, each with a
-- turn of the interpreter's lock. The columns are the fields of ClaimedJob without
-- started_at, which is :now; tags are NULL where there are none, inserted_at where it is scheduled_at.
-- Of jobs that wait in the node, one that has started once has no expiry. A node that is not
-- registered gets nothing. Times are in microseconds, since JSON shows fifteen digits of a double.
-- :now is NULL where nothing was acknowledged before; the second column is the time that counts, so
-- that no statement of its own has to read the clock.
SELECT json_group_array(json_array(priority, CAST(scheduled_at * 1000000.0 + 0.5 AS INTEGER), id, claim + 1, task, args, attempt + 1, max_attempts,
  orphans, awaited, options, meta, unique_key, template, identifier, CAST(expires_at/*ahead  * iif(started_at IS NULL, 1.0, NULL) ahead*/ * 1000000.0 + 0.5 AS INTEGER),
  CAST(occurrence * 1000000.0 + 0.5 AS INTEGER), nullif(tags, '[]'), nullif(CAST(inserted_at * 1000000.0 + 0.5 AS INTEGER),
  CAST(scheduled_at * 1000000.0 + 0.5 AS INTEGER)))), coalesce(:now, CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0)
FROM (
  SELECT * FROM job
  WHERE state = 'available' AND queue = :queue AND (priority, scheduled_at, id) > (:after_priority, :after_at, :after_id)
    AND (expires_at IS NULL OR started_at IS NOT NULL OR expires_at > coalesce(:now, CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0))
    AND claim < 2000000000 AND attempt < 2000000000 AND task NOT IN (SELECT value FROM json_each(:exclude))
    AND EXISTS (SELECT 1 FROM node WHERE node.id = :node)
  ORDER BY priority, scheduled_at, id
  LIMIT :free)
