-- The ends of one exchange, on the connection that writes: three statements read them, and each value is bound once. Without an index
-- of its own it can only be the outer loop of a join with job.
CREATE TEMP TABLE IF NOT EXISTS ending (id INTEGER, claim INTEGER, result TEXT, state TEXT, delay REAL, uncount INTEGER, value TEXT,
  reason TEXT, error TEXT, traceback TEXT, log TEXT)
