-- How many jobs a filter covers.
SELECT count(*) FROM job WHERE {where}
