-- Announce the payloads $2 on channel $1 in a transaction of their own. A NOTIFY in an inserting
-- transaction would make the commits wait for each other.
SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS s(payload)
