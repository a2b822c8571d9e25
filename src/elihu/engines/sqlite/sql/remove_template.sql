-- Remove a template. Jobs made from it stay.
DELETE FROM template WHERE code = :code RETURNING code
