-- What job kinds in the database and their callers call a job.
ALTER TABLE job ADD COLUMN template TEXT;
ALTER TABLE job ADD COLUMN identifier TEXT;
CREATE UNIQUE INDEX job_identifier ON job (identifier) WHERE identifier IS NOT NULL;
