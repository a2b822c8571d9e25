"""The rules of the scheduler: the only door for the API, the pages and the command line."""
