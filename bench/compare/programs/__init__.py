"""One program for each contestant, run by the Python of its own virtual environment."""
