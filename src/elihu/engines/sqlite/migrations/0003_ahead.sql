-- The claim of a job that waits in its node for a slot: the job waits while it executes under this
-- claim. Where it has started since, or under a later claim, the number says nothing.
ALTER TABLE job ADD COLUMN ahead INTEGER;
