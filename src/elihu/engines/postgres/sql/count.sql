-- How many jobs the filter covers.
SELECT count(*) FROM elihu.job WHERE true /* filter */
