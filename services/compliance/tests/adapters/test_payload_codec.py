import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import WorkflowSerializationContext
from temporalio.exceptions import ApplicationError
from weir_compliance.adapters.export_key import ExportKeyRing
from weir_compliance.adapters.payload_codec import SealingCodec, sealing_converter
from weir_compliance.errors import KeyUnavailableError


def of_workflow(codec: SealingCodec, workflow_id: str) -> SealingCodec:
    return codec.with_context(WorkflowSerializationContext(namespace="default", workflow_id=workflow_id))


async def test_a_payload_is_sealed_under_the_key_of_the_tenant_in_the_workflow_id(keys: ExportKeyRing) -> None:
    codec = SealingCodec(keys)
    (sealed,) = await of_workflow(codec, "dsr/shop-1/018f").encode([Payload(data=b"planted")])
    assert b"planted" not in sealed.SerializeToString()
    assert sealed.metadata["weir-tenant"] == b"shop-1"
    # Reading needs no context: a query from elsewhere has none.
    (opened,) = await codec.decode([sealed])
    assert opened.data == b"planted"
    sealed.metadata["weir-tenant"] = b"shop-2"
    with pytest.raises(KeyUnavailableError):
        await codec.decode([sealed])


@pytest.mark.parametrize("workflow_id", ["", "other/shop-1/018f", "dsr/018f"])
async def test_a_workflow_of_no_tenant_has_a_key_too(keys: ExportKeyRing, workflow_id: str) -> None:
    codec = of_workflow(SealingCodec(keys), workflow_id)
    (sealed,) = await codec.encode([Payload(data=b"x")])
    assert sealed.metadata["weir-tenant"] == b"__platform__"
    assert (await codec.decode([sealed]))[0].data == b"x"


async def test_a_payload_written_without_the_codec_is_passed_on(keys: ExportKeyRing) -> None:
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b'"store"')
    assert await SealingCodec(keys).decode([plain]) == [plain]


async def test_neither_text_nor_stack_of_a_failure_stands_in_clear(keys: ExportKeyRing) -> None:
    converter = sealing_converter(keys)
    failure = Failure()

    def fail() -> None:
        planted = "planted@example.org"
        raise ApplicationError(f"could not delete {planted}", {"who": planted})

    with pytest.raises(ApplicationError) as caught:
        fail()
    await converter.encode_failure(caught.value, failure)
    assert b"planted" not in failure.SerializeToString()
    decoded = await converter.decode_failure(failure)
    assert "planted@example.org" in str(decoded)
