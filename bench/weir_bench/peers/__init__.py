"""The same topic drained by five frameworks: what a micro-batch costs with ours and with the others."""
