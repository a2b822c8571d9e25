-- What people said of queues while nodes run: to every node, or to one. NULL says nothing: as the node is configured.
CREATE TABLE elihu.queue (
  name text COLLATE "C" PRIMARY KEY,
  served boolean,
  slots integer CHECK (slots BETWEEN 1 AND 10000),
  paused boolean NOT NULL DEFAULT false
);

CREATE TABLE elihu.node_queue (
  node uuid NOT NULL REFERENCES elihu.node ON DELETE CASCADE,
  queue text COLLATE "C" NOT NULL,
  served boolean,
  slots integer CHECK (slots BETWEEN 1 AND 10000),
  paused boolean,
  PRIMARY KEY (node, queue)
);
