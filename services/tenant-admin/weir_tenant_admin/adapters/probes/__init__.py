"""One probe a component; each asks for something that only a working component can answer."""
