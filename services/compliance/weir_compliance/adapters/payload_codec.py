"""What Temporal stores of us is encrypted: payloads, failures' messages and stack traces.

Not covered by a codec, so they must hold references only: workflow ids, types, task queues, search attributes, headers.
"""

import dataclasses
from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
)

from weir_compliance.adapters.export_key import ExportKeyRing

_ENCODING = b"binary/weir-sealed"
_PURPOSE = "temporal-payload"
_TENANT = "weir-tenant"
# Of workflows that are nobody's: the codec needs some name to derive a key.
_NO_TENANT = "__platform__"


class SealingCodec(PayloadCodec, WithSerializationContext):
    """AES-256-GCM under a key of the tenant, which is read from the workflow id `dsr/{tenant}/{request}`."""

    def __init__(self, keys: ExportKeyRing, tenant_id: str = _NO_TENANT) -> None:
        self._keys = keys
        self._tenant_id = tenant_id

    def with_context(self, context: SerializationContext | None) -> "SealingCodec":
        workflow_id = getattr(context, "workflow_id", None) or ""
        parts = workflow_id.split("/")
        tenant_id = "/".join(parts[1:-1]) if len(parts) >= 3 and parts[0] == "dsr" else _NO_TENANT
        return SealingCodec(self._keys, tenant_id)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        tenant = self._tenant_id.encode()
        return [
            Payload(
                metadata={"encoding": _ENCODING, _TENANT: tenant},
                data=self._keys.seal(_PURPOSE, self._tenant_id, b"", payload.SerializeToString()),
            )
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._decoded(payload) for payload in payloads]

    def _decoded(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != _ENCODING:
            # Written by somebody without the codec (the CLI, an operator's query): readable as it is.
            return payload
        tenant_id = payload.metadata[_TENANT].decode()
        return Payload.FromString(self._keys.open(_PURPOSE, tenant_id, b"", payload.data))


def sealing_converter(keys: ExportKeyRing) -> DataConverter:
    """Encodes failures too: an error's text would otherwise stand in the history in clear."""
    return dataclasses.replace(
        DataConverter.default,
        payload_codec=SealingCodec(keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
