-- Plain completions; :done is an object of id → claim, where claims wait in the node of id → [claim, waited].
-- Most ends are such, and two numbers of JSON cost less than twelve values.
INSERT INTO temp.ending (id, claim, outcome, state, refund_attempt, node/*ahead , waited ahead*/)
SELECT CAST(key AS INTEGER), value/*ahead  ->> 0 ahead*/, 'completed', 'completed', 0, :node/*ahead , value ->> 1 ahead*/ FROM json_each(:done)
