"""Distinct counts whose result depends neither on the order of the stream nor on how it was split.

Up to 1,024 members the set itself is kept (64-bit hashes, sorted), beyond that plain HyperLogLog registers with p = 12 (Flajolet et al. 2007).
The count is read from the registers by the improved estimator of Ertl (arXiv:1702.01284, algorithm 6), which needs neither a
bias table nor a switch to linear counting. Standard error 1.04/√4096 = 1.6 %.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

EXACT_MEMBERS = 1024
PRECISION = 12
REGISTERS = 1 << PRECISION
REST_BITS = 64 - PRECISION

Hashes = npt.NDArray[np.uint64]
Registers = npt.NDArray[np.uint8]

_EXACT = b"e"
_REGISTERS = b"r"


def hash64(member: str) -> int:
    """The first 8 bytes, big-endian, of SHA-256: every SQL engine has that function, so all engines count alike."""
    return int.from_bytes(hashlib.sha256(member.encode("utf-8", "surrogatepass")).digest()[:8], "big")


@dataclass(frozen=True, slots=True)
class DistinctCount:
    """A set or its registers, never both; `hashes` are sorted and unique."""

    hashes: Hashes | None = None
    registers: Registers | None = None

    @classmethod
    def of(cls, hashes: Iterable[int]) -> DistinctCount:
        return _of_unique(np.unique(np.fromiter(hashes, dtype=np.uint64)))

    @property
    def exact(self) -> bool:
        return self.hashes is not None

    def union(self, *others: DistinctCount) -> DistinctCount:
        """All members of all; exact while they are at most 1,024, however they were spread over the parts."""
        parts = (self, *others)
        sets = [part.hashes for part in parts if part.hashes is not None]
        registers = [part.registers for part in parts if part.registers is not None]
        hashes = np.unique(np.concatenate(sets)) if sets else np.empty(0, dtype=np.uint64)
        if not registers:
            return _of_unique(hashes)
        merged = np.maximum.reduce([*registers, _registers_of(hashes)])
        return DistinctCount(registers=merged)

    def count(self) -> int:
        """The number of members; exact for a set, rounded estimate for registers."""
        if self.hashes is not None:
            return int(self.hashes.size)
        assert self.registers is not None
        return round(_estimate(self.registers))

    def encode(self) -> bytes:
        """Equal counts give equal bytes."""
        if self.hashes is not None:
            return _EXACT + self.hashes.astype(">u8").tobytes()
        assert self.registers is not None
        return _REGISTERS + self.registers.tobytes()

    @classmethod
    def decode(cls, data: bytes) -> DistinctCount:
        if data[:1] == _EXACT:
            return cls(hashes=np.frombuffer(data, dtype=">u8", offset=1).astype(np.uint64))
        if data[:1] == _REGISTERS and len(data) == REGISTERS + 1:
            return cls(registers=np.frombuffer(data, dtype=np.uint8, offset=1))
        raise ValueError("not a distinct count")


def _of_unique(hashes: Hashes) -> DistinctCount:
    if hashes.size <= EXACT_MEMBERS:
        return DistinctCount(hashes=hashes)
    return DistinctCount(registers=_registers_of(hashes))


def _registers_of(hashes: Hashes) -> Registers:
    """Register = first 12 bits; value = 1 + leading zeros of the other 52, so 1 to 53."""
    registers = np.zeros(REGISTERS, dtype=np.uint8)
    index = (hashes >> np.uint64(REST_BITS)).astype(np.intp)
    rest = (hashes & np.uint64((1 << REST_BITS) - 1)).astype(np.float64)  # 52 bits are exact in a double
    bit_length = np.frexp(rest)[1]
    np.maximum.at(registers, index, (REST_BITS + 1 - bit_length).astype(np.uint8))
    return registers


def _estimate(registers: Registers) -> float:
    histogram = np.bincount(registers, minlength=REST_BITS + 2).tolist()
    z = REGISTERS * _tau(1 - histogram[REST_BITS + 1] / REGISTERS)
    for k in range(REST_BITS, 0, -1):
        z = 0.5 * (z + histogram[k])
    z += REGISTERS * _sigma(histogram[0] / REGISTERS)
    return REGISTERS * REGISTERS / (2 * math.log(2) * z)


def _sigma(x: float) -> float:
    if x == 1.0:
        return math.inf
    y, z = 1.0, x
    while True:
        x *= x
        before = z
        z += x * y
        y += y
        if z == before:
            return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y, z = 1.0, 1.0 - x
    while True:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1.0 - x) ** 2 * y
        if z == before:
            return z / 3.0
