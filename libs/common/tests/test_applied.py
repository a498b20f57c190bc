"""Positions over gRPC: all sources in one answer, and a peer that is away costs its own answer only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio
import pytest
from weir.ops.v1 import applied_pb2
from weir_common.applied import AppliedServicer, PeerPositions
from weir_common.errors import RetryError
from weir_common.problems import Unavailable


class Fixed:
    def __init__(self, positions: Mapping[str, int] | None) -> None:
        self._positions = positions

    async def next_offsets(self, topic: str, partition: int) -> Mapping[str, int]:
        if self._positions is None:
            raise RetryError("away")
        return {f"{name}/{topic}/{partition}": offset for name, offset in self._positions.items()}


REQUEST = applied_pb2.GetAppliedRequest(topic="t", partition=3)


async def test_all_sources_answer_together() -> None:
    servicer = AppliedServicer([Fixed({"b": 2, "a": 1}), Fixed({"c": 3})])
    answer = await servicer.GetApplied(REQUEST, None)  # type: ignore[arg-type]
    assert [(one.consumer, one.next_offset) for one in answer.positions] == [("a/t/3", 1), ("b/t/3", 2), ("c/t/3", 3)]


async def test_a_source_that_is_away_is_said_to_be() -> None:
    with pytest.raises(Unavailable):
        await AppliedServicer([Fixed({"a": 1}), Fixed(None)]).GetApplied(REQUEST, None)  # type: ignore[arg-type]


class Stub:
    """A peer's answer, or its outage."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.timeouts: list[float] = []

    async def GetApplied(self, request: applied_pb2.GetAppliedRequest, timeout: float) -> Any:
        self.timeouts.append(timeout)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def test_a_peer_that_is_away_is_left_out() -> None:
    away = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
    position = applied_pb2.ConsumerPosition(consumer="fraud.score", next_offset=7)
    peers = PeerPositions({}, timeout_seconds=0.5)
    stubs = {"fraud": Stub(applied_pb2.GetAppliedResponse(positions=[position])), "anomaly": Stub(away)}
    peers._stubs = stubs  # type: ignore[assignment]
    assert await peers.next_offsets("t", 3) == {"fraud.score": 7}
    assert [stub.timeouts for stub in stubs.values()] == [[0.5], [0.5]]
