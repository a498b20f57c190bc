"""``make bench-handbook``: the Fraud Detection Handbook's payments through the real path, features against the published ones."""
