-- The nodes other than $1.
SELECT id::text AS id, beat FROM elihu.node WHERE id <> $1::uuid ORDER BY id
