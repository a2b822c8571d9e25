-- Remove a template; jobs made from it stay.
DELETE FROM template WHERE code = :code RETURNING code
