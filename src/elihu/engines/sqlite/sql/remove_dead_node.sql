-- Remove a node. Without its row it cannot fetch. Locks show which nodes are dead, not beats.
DELETE FROM node WHERE id = :node RETURNING id
