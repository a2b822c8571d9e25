"""The processes that an experiment starts, breaks and kills."""
