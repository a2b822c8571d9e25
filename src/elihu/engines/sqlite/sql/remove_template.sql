-- Remove a template, where :known is given only if that is its revision. Jobs made from it stay.
DELETE FROM template WHERE code = :code AND (:known IS NULL OR revision = :known) RETURNING code
