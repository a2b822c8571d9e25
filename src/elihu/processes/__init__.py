"""What the operating system knows of processes."""
