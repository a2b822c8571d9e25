-- Remove template $1; jobs made from it stay.
DELETE FROM elihu.template WHERE code = $1 RETURNING code
