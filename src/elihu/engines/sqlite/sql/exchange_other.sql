-- Every other end, one row of values each. Texts of tasks and errors do not pass through JSON.
INSERT INTO temp.ending (id, claim, outcome, state, delay, refund_attempt, value, reason, error, traceback, log, error_type, waited, node) VALUES {rows}
