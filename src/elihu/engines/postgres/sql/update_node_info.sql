-- What node $1 says of itself now: $2.
UPDATE elihu.node SET info = $2::json WHERE id = $1::uuid
