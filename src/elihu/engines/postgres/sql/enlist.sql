-- A new node: $1 id, $2 name, $3 info.
INSERT INTO elihu.node (id, name, info) VALUES ($1::uuid, $2, $3::json)
