-- The schemas of the templates $1: asked at each job of a template, once for all that start at the same time.
SELECT code, schema FROM elihu.template WHERE code = ANY($1::text[])
