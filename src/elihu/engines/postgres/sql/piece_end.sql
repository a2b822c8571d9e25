-- The newest id: where a bulk verb that needs several pieces ends, so that it does not chase what is inserted meanwhile.
SELECT max(id) FROM elihu.job
