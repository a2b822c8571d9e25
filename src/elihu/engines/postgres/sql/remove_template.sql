-- Remove template $1, where $2 is given only if that is its revision. Jobs made from it stay.
DELETE FROM elihu.template WHERE code = $1 AND ($2::text IS NULL OR revision = $2) RETURNING code
