-- Remove template $1. Jobs made from it stay.
DELETE FROM elihu.template WHERE code = $1 RETURNING code
