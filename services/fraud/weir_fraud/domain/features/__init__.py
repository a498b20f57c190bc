"""One file a feature (or a feature over several windows), found by its name."""
