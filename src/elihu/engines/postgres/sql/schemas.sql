-- The schemas of the templates $1.
SELECT code, schema FROM elihu.template WHERE code = ANY($1::text[])
