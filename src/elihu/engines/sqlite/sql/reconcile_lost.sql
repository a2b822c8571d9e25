-- The jobs that execute in the name of node :node without its knowledge, because the answer to a
-- fetch was lost: claimed more than :older_than seconds ago, and not among the claims in :held, an
-- array of [id, claim]. The state is what reconcile.sql makes of each under the same lock.
SELECT id, queue, CASE WHEN intent = 'cancel' THEN 'cancelled' ELSE 'available' END, awaited FROM job INDEXED BY job_running
WHERE state = 'executing' AND node = :node
  AND started_at < CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0 - :older_than
  AND (id, claim) NOT IN (SELECT value ->> 0, value ->> 1 FROM json_each(:held))
ORDER BY id
