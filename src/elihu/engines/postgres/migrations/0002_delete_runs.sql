-- Runs go with their job, also where it is deleted by SQL.
CREATE FUNCTION elihu.delete_runs() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    DELETE FROM elihu.run;
  ELSE
    DELETE FROM elihu.run WHERE job_id = ANY(ARRAY(SELECT id FROM gone));
  END IF;
  RETURN NULL;
END
$function$;
CREATE TRIGGER run_ends_with_job AFTER DELETE ON elihu.job REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION elihu.delete_runs();
CREATE TRIGGER run_ends_with_all_jobs AFTER TRUNCATE ON elihu.job
  FOR EACH STATEMENT EXECUTE FUNCTION elihu.delete_runs();
