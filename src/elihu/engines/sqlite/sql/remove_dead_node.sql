-- Remove a node: its right to fetch goes with its row. Locks tell who is dead, not beats.
DELETE FROM node WHERE id = :node RETURNING id
