"""The files of a trained model, kept in a cache under the digest of everything that made them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib import metadata, resources
from pathlib import Path
from typing import Final

import msgspec

from weir_fraud.domain.fingerprint import features_fingerprint
from weir_fraud.domain.model import ModelCard

CARD: Final = "model.json"
REQUEST_ONLY: Final = "request-only-"
"""Before the names of the files of the model that stands in when the histories are away."""
_LIBRARIES: Final = ("lightgbm", "numpy", "onnx", "onnxruntime")


def training_key(seed: int) -> str:
    """Digest of the feature definitions, the training code, the libraries' versions and the seed, in hex."""
    digest = sha256(features_fingerprint().encode())
    for source in sorted(resources.files("weir_fraud.training").iterdir(), key=lambda entry: entry.name):
        if source.name.endswith(".py"):
            digest.update(f"{source.name}\x00{source.read_text('utf-8')}\x00".encode())
    digest.update(json.dumps([seed, *library_versions().items()]).encode())
    return digest.hexdigest()


def library_versions() -> Mapping[str, str]:
    """Of the libraries that the result depends on."""
    return {name: metadata.version(name) for name in _LIBRARIES}


def cached(cache: Path, key: str, make: Callable[[], Mapping[str, bytes]]) -> Path:
    """The folder with the files of `key`, made now unless it is there and whole. Others see a whole folder or none."""
    folder = cache / f"fraud-model-{key[:16]}"
    if is_whole(folder, key):
        return folder
    draft = cache / f".fraud-model-{key[:16]}-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    write(draft, make())
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return folder


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put files into a folder, each at once, the cards last: a card is never beside files that are not its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(files, key=lambda name: name.endswith(CARD)):
        draft = folder / f".{name}-{os.getpid()}"
        draft.write_bytes(files[name])
        draft.replace(folder / name)


def is_whole(folder: Path, key: str) -> bool:
    """Whether the folder has both models of `key`, with files that match their hashes."""
    try:
        cards = {
            prefix: msgspec.json.decode((folder / f"{prefix}{CARD}").read_bytes(), type=ModelCard)
            for prefix in ("", REQUEST_ONLY)
        }
        return all(
            card.key == key
            and all(
                sha256((folder / f"{prefix}{name}").read_bytes()).hexdigest() == digest
                for name, digest in card.files.items()
            )
            for prefix, card in cards.items()
        )
    except (OSError, msgspec.DecodeError):
        return False
