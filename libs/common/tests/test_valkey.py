"""The client against a server of its own, which the tests may hold, end and start again."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from weir_common import valkey
from weir_common.settings import ValkeySettings
from weir_local.components.valkey import binary

pytestmark = pytest.mark.integration

SECRET = "tenant_42"
PUT = "for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i]) end return #KEYS"


class Server:
    """A Valkey without persistence on a port of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> ValkeySettings:
        return ValkeySettings(url=SecretStr(f"redis://:p%40ss@127.0.0.1:{self.port}/3"), timeout_seconds=1.0)

    async def start(self) -> None:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", "p@ss", "--save", ""]
        self._process = await asyncio.to_thread(
            subprocess.Popen, [str(binary()), *arguments, "--dir", str(self._folder)], stdout=subprocess.DEVNULL
        )
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return

    def hold(self) -> None:
        self._running().send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.send_signal(signal.SIGCONT)
            process.kill()
            await asyncio.to_thread(process.wait, 20)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    one = Server(tmp_path)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Redis]:
    async with valkey.valkey_client(server.settings) as opened:
        yield opened


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> tuple[TracerProvider, InMemorySpanExporter]:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(valkey, "tracer", lambda: provider.get_tracer("test"))
    return provider, exporter


def _of_calls(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name != "request"]


async def test_each_call_in_a_sampled_trace_has_a_span_that_names_neither_keys_nor_values(
    client: Redis, server: Server, spans: tuple[TracerProvider, InMemorySpanExporter]
) -> None:
    provider, exporter = spans
    put = client.register_script(PUT)
    with provider.get_tracer("test").start_as_current_span("request") as request:
        await put(keys=[f"{SECRET}:a", f"{SECRET}:b"], args=[SECRET, SECRET])
        assert await client.mget([f"{SECRET}:a", f"{SECRET}:c"]) == [SECRET.encode(), None]
        async with client.pipeline(transaction=False) as pipeline:
            assert await pipeline.get(f"{SECRET}:a").get(f"{SECRET}:b").execute() == [SECRET.encode()] * 2
        with pytest.raises(ResponseError):
            await client.incr(f"{SECRET}:a")
    found = _of_calls(exporter)
    # The script was not there yet: it was refused, loaded and run.
    names = [span.name for span in found]
    assert names == ["EVALSHA", "SCRIPT LOAD", "EVALSHA", "MGET", "PIPELINE GET", "INCRBY"]
    for span in found:
        assert span.parent is not None
        assert span.parent.span_id == request.get_span_context().span_id
        attributes: dict[str, Any] = dict(span.attributes or {})
        assert attributes["db.system.name"] == "redis"
        assert attributes["db.operation.name"] == span.name
        assert (attributes["server.address"], attributes["server.port"]) == ("127.0.0.1", server.port)
        assert attributes["db.namespace"] == "3"
        assert SECRET not in span.to_json()
    assert dict(found[2].attributes or {})["db.stored_procedure.name"] == put.sha
    assert dict(found[4].attributes or {})["db.operation.batch.size"] == 2
    assert dict(found[5].attributes or {})["error.type"] == "ResponseError"
    assert not found[5].status.is_ok


async def test_a_call_outside_of_a_sampled_trace_has_none(
    client: Redis, spans: tuple[TracerProvider, InMemorySpanExporter]
) -> None:
    _, exporter = spans
    await client.set("a", b"1")
    with TracerProvider(sampler=ALWAYS_OFF).get_tracer("test").start_as_current_span("request"):
        await client.get("a")
        async with client.pipeline(transaction=False) as pipeline:
            await pipeline.get("a").execute()
    assert not _of_calls(exporter)


async def test_a_script_is_loaded_again_after_the_server_was_started_anew(client: Redis, server: Server) -> None:
    put = client.register_script(PUT)
    assert await put(keys=["a", "b"], args=[b"\x00\xff", 7]) == 2
    await server.stop()
    with pytest.raises(RedisError):
        await client.get("a")
    await server.start()
    assert await put(keys=["a"], args=[b"\x00\xff"]) == 1
    assert await client.mget(["a", "b"]) == [b"\x00\xff", None]


async def test_a_server_that_does_not_answer_is_an_error_within_the_deadline_and_a_pause_is_survived(
    client: Redis, server: Server
) -> None:
    await client.set("a", b"1")
    server.hold()
    try:
        started = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(client.get("a") for _ in range(20)), return_exceptions=True)
        # One retry, each with a deadline of 1 s; reconnecting counts, too.
        assert asyncio.get_running_loop().time() - started < 6
        assert all(isinstance(answer, RedisError) for answer in answers)
    finally:
        server.go_on()
    assert await client.get("a") == b"1"


async def test_calls_that_are_given_up_do_not_mix_up_the_answers_of_others(client: Redis) -> None:
    await client.mset({f"k{number}": number for number in range(200)})

    async def asked(number: int) -> bytes | None:
        if number % 3:
            answer: bytes | None = await client.get(f"k{number}")
            return answer
        try:
            async with asyncio.timeout(0):
                await client.get(f"k{number}")
        except TimeoutError:
            return None
        return None

    answers = await asyncio.gather(*(asked(number) for number in range(200)))
    assert answers == [str(number).encode() if number % 3 else None for number in range(200)]
