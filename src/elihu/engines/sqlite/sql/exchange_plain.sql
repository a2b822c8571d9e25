-- Plain completions; :done is an object of id → claim. Most ends are such, and two numbers of JSON
-- cost less than twelve values.
INSERT INTO temp.ending (id, claim, outcome, state, refund_attempt, node)
SELECT CAST(key AS INTEGER), value, 'completed', 'completed', 0, :node FROM json_each(:done)
