"""The databases that jobs live in, behind one protocol."""
