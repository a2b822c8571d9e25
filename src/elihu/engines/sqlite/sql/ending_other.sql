-- Every other end, one row of values each: texts of tasks and errors do not pass through JSON.
INSERT INTO temp.ending (id, claim, result, state, delay, uncount, value, reason, error, traceback, log, error_type, node) VALUES {rows}
