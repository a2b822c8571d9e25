-- Remove node $1 if its beat is still $2: a node that came back to life in the meantime stays.
DELETE FROM elihu.node WHERE id = $1::uuid AND beat = $2 RETURNING id
