-- Those of :digests, a JSON array, on which the trigger has acted; with :period within the last so many seconds.
SELECT digest FROM trigger_ledger
WHERE trigger = :trigger AND digest IN (SELECT value FROM json_each(:digests))
  AND (:period IS NULL OR acted_at > CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0 - :period)
