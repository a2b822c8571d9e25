-- A node that leaves: its row goes, and with it its right to fetch.
DELETE FROM elihu.node WHERE id = $1::uuid
