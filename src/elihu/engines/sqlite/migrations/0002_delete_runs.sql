-- Runs go with their job, also where it is deleted by SQL.
CREATE TRIGGER run_ends_with_job AFTER DELETE ON job BEGIN DELETE FROM run WHERE job_id = OLD.id; END;
