-- What people said of queues while nodes run: to every node, or to one. NULL says nothing: as the node is configured.
CREATE TABLE queue (
  name TEXT PRIMARY KEY,
  served INTEGER CHECK (served IN (0, 1)),
  slots INTEGER CHECK (slots BETWEEN 1 AND 10000),
  paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE TABLE node_queue (
  node TEXT NOT NULL,
  queue TEXT NOT NULL,
  served INTEGER CHECK (served IN (0, 1)),
  slots INTEGER CHECK (slots BETWEEN 1 AND 10000),
  paused INTEGER CHECK (paused IN (0, 1)),
  PRIMARY KEY (node, queue)
) STRICT, WITHOUT ROWID;

-- In place of a foreign key: SQLite heeds these only where a connection asks for it.
CREATE TRIGGER node_queue_ends_with_node AFTER DELETE ON node BEGIN DELETE FROM node_queue WHERE node = OLD.id; END;
