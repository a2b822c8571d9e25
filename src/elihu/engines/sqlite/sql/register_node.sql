-- A new node, whose lock is held already. The conflict is for a call whose first answer was lost.
INSERT INTO node (id, name, info) VALUES (:node, :name, :info) ON CONFLICT (id) DO UPDATE SET name = excluded.name, info = excluded.info
