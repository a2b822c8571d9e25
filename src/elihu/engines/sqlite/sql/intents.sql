-- The intents on the jobs that node :node executes.
SELECT id, claim, intent FROM job INDEXED BY job_running WHERE state = 'executing' AND node = :node AND intent IS NOT NULL ORDER BY id
