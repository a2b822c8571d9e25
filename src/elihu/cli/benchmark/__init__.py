"""What ``elihu bench`` measures, where, and what it says of the figures."""
