-- The newest id. A bulk verb of several pieces ends there, so that it does not follow jobs inserted
-- meanwhile.
SELECT max(id) FROM elihu.job
