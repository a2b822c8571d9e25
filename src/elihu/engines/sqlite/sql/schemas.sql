-- The schemas of the templates :codes. Asked at the start of each job of a template, once for all
-- that start at the same time.
SELECT code, schema FROM template WHERE code IN (SELECT value FROM json_each(:codes))
