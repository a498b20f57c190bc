"""Temporal through its API: every execution of every namespace, with payloads opened, since only references may travel in them."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, Final

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.workflowservice.v1 import ListNamespacesRequest
from temporalio.client import Client, WorkflowExecution
from temporalio.converter import PayloadCodec

from weir_compliance.errors import KeyUnavailableError
from weir_compliance.hunt.ports import Piece

_DEADLINE: Final = timedelta(seconds=10)


class TemporalHistory:
    """`codec` opens what compliance sealed; a payload of somebody else is looked through as it is."""

    name = "temporal history"

    def __init__(self, target: str, codec: PayloadCodec) -> None:
        self._target = target
        self._codec = codec

    async def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        for namespace in await self._namespaces():
            client = await Client.connect(self._target, namespace=namespace, lazy=True)
            async for execution in client.list_workflows(rpc_timeout=_DEADLINE):
                async for piece in self._of_execution(client, execution):
                    yield piece

    async def _namespaces(self) -> list[str]:
        client = await Client.connect(self._target, lazy=True)
        names: list[str] = []
        token = b""
        while True:
            page = await client.workflow_service.list_namespaces(
                ListNamespacesRequest(page_size=100, next_page_token=token), timeout=_DEADLINE
            )
            names += [one.namespace_info.name for one in page.namespaces]
            token = page.next_page_token
            if not token:
                return names

    async def _of_execution(self, client: Client, execution: WorkflowExecution) -> AsyncIterator[Piece]:
        kind = execution.workflow_type
        at = f"{execution.id} {execution.run_id}"
        yield Piece(f"{kind} visibility", at, execution.raw_info.SerializeToString())
        handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
        async for event in handle.fetch_history_events(rpc_timeout=_DEADLINE):
            place = f"{at} event {event.event_id}"
            yield Piece(f"{kind} history", place, event.SerializeToString())
            for sealed in [payload for payload in _payloads(event) if payload.metadata]:
                try:
                    (payload,) = await self._codec.decode([sealed])
                except KeyUnavailableError:
                    # Sealed under a key that is destroyed, or another deployment's: as closed to us as to anybody who finds it.
                    payload = sealed
                yield Piece(f"{kind} payload opened", place, payload.data, unit=False)


def _payloads(message: Message) -> Iterator[Payload]:
    """Every payload in a message, however deep."""
    if isinstance(message, Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is None:
                continue
            inner: Any = value.values()
        else:
            inner = value if field.is_repeated else (value,)
        for one in inner:
            yield from _payloads(one)
