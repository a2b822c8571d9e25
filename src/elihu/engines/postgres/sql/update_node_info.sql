-- Store the info $2 of node $1.
UPDATE elihu.node SET info = $2::json WHERE id = $1::uuid
