"""A digest of what features mean: a model is used only with the definitions that it was trained on."""

from __future__ import annotations

from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable

_MEANING = ("aggregate.py", "catalogue.py", "feature.py", "geography.py", "history.py", "payment.py", "features")


def features_fingerprint() -> str:
    """SHA-256 over the source of the definitions and of their offline computation, in hex."""
    root = resources.files("weir_fraud.domain")
    digest = sha256()
    for name in _MEANING:
        for path, text in _sources(root / name, name):
            digest.update(f"{path}\x00{text}\x00".encode())
    return digest.hexdigest()


def _sources(entry: Traversable, name: str) -> list[tuple[str, str]]:
    if entry.is_dir():
        children = sorted((child for child in entry.iterdir()), key=lambda child: child.name)
        return [source for child in children for source in _sources(child, f"{name}/{child.name}")]
    return [(name, entry.read_text("utf-8"))] if name.endswith(".py") else []
