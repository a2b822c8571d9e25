"""One attempt: from a claim to an acknowledgement."""
