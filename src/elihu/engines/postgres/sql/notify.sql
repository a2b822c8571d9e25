-- Announce the payloads $2 on channel $1, in one transaction of their own:
-- a NOTIFY inside the transactions that insert would make their commits queue up.
SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS s(payload)
