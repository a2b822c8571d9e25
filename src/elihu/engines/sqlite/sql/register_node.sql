-- A new node, whose lock is held already; once more where the answer to the first call was lost.
INSERT INTO node (id, name, info) VALUES (:node, :name, :info) ON CONFLICT (id) DO UPDATE SET name = excluded.name, info = excluded.info
