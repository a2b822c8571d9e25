-- Runs of a schedule in the order of their ids.
CREATE INDEX command_job_schedule_newest ON elihu.command_job (schedule_id, id);
DROP INDEX elihu.command_job_schedule;
