-- The next exchange begins with none.
DELETE FROM temp.ending
