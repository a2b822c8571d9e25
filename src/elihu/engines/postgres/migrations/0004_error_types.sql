-- By the type of what an attempt raised, whoever waits for the job raises the same.
ALTER TABLE elihu.run ADD COLUMN error_type text;
