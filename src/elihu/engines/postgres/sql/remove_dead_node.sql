-- Remove node $1 if its beat is still $2. A node that has beaten since stays.
DELETE FROM elihu.node WHERE id = $1::uuid AND beat = $2 RETURNING id
