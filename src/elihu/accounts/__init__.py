"""Users, their sessions and keys, and the audit of what they change."""
