-- The schemas of the templates :codes: asked at each job of a template, once for all that start at the same time.
SELECT code, schema FROM template WHERE code IN (SELECT value FROM json_each(:codes))
