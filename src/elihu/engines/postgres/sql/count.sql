-- The number of jobs that the filter covers.
SELECT count(*) FROM elihu.job WHERE true /* filter */
