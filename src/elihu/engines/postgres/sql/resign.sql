-- Give up leadership. Only the holder's row is removed.
DELETE FROM elihu.leader WHERE node = $1::uuid RETURNING node
