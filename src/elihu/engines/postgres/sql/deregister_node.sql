-- Remove the row of a node that stops. Without its row it can fetch nothing.
DELETE FROM elihu.node WHERE id = $1::uuid
