"""One queue of a node: its producer, and what its attempts pass through."""
