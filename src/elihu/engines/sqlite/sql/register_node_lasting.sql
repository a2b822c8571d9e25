-- The ids of the nodes that stay. Nodes of a single round ("once") come and go.
SELECT id FROM node WHERE info->>'once' IS NULL ORDER BY id
