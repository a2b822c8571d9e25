-- The last start of a first node.
SELECT at FROM boot
