"""One program a framework; all but ours run in the peers' own environment, which holds nothing of ours but this package."""
