"""``make bench-fraud``: what a decision takes while somebody waits for it, and what its features take beside Feast."""
