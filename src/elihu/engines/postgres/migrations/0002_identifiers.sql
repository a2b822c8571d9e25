-- What job kinds in the database and their callers call a job.
ALTER TABLE elihu.job ADD COLUMN template text COLLATE "C", ADD COLUMN identifier text COLLATE "C";
CREATE UNIQUE INDEX job_identifier ON elihu.job (identifier) WHERE identifier IS NOT NULL;
