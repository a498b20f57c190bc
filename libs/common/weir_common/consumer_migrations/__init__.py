"""SQL that every consuming service runs in its own schema."""
