-- Give the lead up: only its holder can.
DELETE FROM elihu.leader WHERE node = $1::uuid RETURNING node
