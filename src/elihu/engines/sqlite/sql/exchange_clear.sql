-- Empty the table for the next exchange.
DELETE FROM temp.ending
