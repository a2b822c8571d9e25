-- The ends of one exchange, on the connection that writes. Three statements read them, and each
-- value is bound once. The guard (id, node, claim, state) is in the row, so that a join with job
-- has no condition on job alone. With such a condition the planner would choose job_running and
-- compare batch × slots rows or, after ANALYZE, build a Bloom filter over the whole table. Without
-- an index of its own, ending can only be the outer loop.
CREATE TEMP TABLE IF NOT EXISTS ending (id INTEGER, claim INTEGER, outcome TEXT, state TEXT, delay REAL, refund_attempt INTEGER, value TEXT,
  reason TEXT, error TEXT, traceback TEXT, log TEXT, error_type TEXT, waited REAL, node TEXT, held TEXT DEFAULT 'executing')
