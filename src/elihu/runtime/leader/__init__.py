"""What the leader alone does."""
