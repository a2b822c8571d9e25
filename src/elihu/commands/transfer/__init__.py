"""Everything that people set up, as one TOML file: written, read and compared by name."""
