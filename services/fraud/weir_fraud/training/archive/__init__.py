"""Training on what really happened: payments of the archive, labels that came back, features point in time.

Apart from the training of the model that comes with the release, whose bytes depend on `weir_fraud/training/*.py` only.
"""
