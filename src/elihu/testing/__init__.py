"""What an application needs to test its jobs."""
