-- The intents for jobs that node $1 executes. $2 lists those that this code knows.
SELECT id, claim, intent FROM elihu.job WHERE state = 'executing' AND node = $1::uuid AND intent = ANY($2::text[]) ORDER BY id
