"""Training of the fraud model: seeded shop data, the offline features, LightGBM, ONNX, and a card that says how good it is.

Needs the libraries of `requirements/train.in`; the service itself does not.
"""
