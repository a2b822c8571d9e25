-- The ids of the nodes that are there to stay. Those of a single round ("once") come and go all the time.
SELECT id FROM node WHERE info->>'once' IS NULL ORDER BY id
