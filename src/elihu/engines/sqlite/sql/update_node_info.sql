-- What node :node says of itself now.
UPDATE node SET info = :info WHERE id = :node
