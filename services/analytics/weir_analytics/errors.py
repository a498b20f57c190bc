"""The errors of analytics; each says what the consumer must do (see weir_common.errors).

QuarantineError
 └─ UndecodableRecord   the value is not what its topic promises: put it aside, go on
RetryError
 ├─ ArchiveUnavailable  the catalogue does not answer: the same call may succeed later
 ├─ ArchiveConflict     another writer committed to the table first: commit again
 └─ ArchiveFenced       another instance owns our partitions: forget what we wrote, begin again where the table ends
StopError
 └─ ArchiveBroken       the archive's state contradicts ours: going on would lose or double events
"""

from __future__ import annotations

from weir_common.errors import QuarantineError, RetryError, StopError
from weir_common.kafka.records import Record


class UndecodableRecord(QuarantineError):
    """The value does not decode as what its topic carries."""

    def __init__(self, detail: str, record: Record) -> None:
        super().__init__("undecodable", detail, record=record)


class ArchiveUnavailable(RetryError):
    """The catalogue of the archive does not answer."""


class ArchiveConflict(RetryError):
    """Another writer committed to the table between our read and our commit."""


class ArchiveFenced(RetryError):
    """The table has moved on from where we began: our records are in it already or will be written by their new owner."""


class ArchiveBroken(StopError):
    """What the table says was written is not what we know was written."""
