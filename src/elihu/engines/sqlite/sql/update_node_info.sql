-- Write the current info of node :node.
UPDATE node SET info = :info WHERE id = :node
