"""SQLAlchemy on the database of an app, for the command scheduler and the accounts."""
