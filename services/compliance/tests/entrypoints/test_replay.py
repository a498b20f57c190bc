"""Recorded histories run against today's workflow: a change that old runs could not follow fails here, not in
production.

Recorded by the workflow tests with `WEIR_RECORD_HISTORIES=1`. A failure means: use `workflow.patched`, or a new type.
"""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from weir_compliance.adapters.export_key import ExportKey, ExportKeyRing
from weir_compliance.adapters.payload_codec import sealing_converter
from weir_compliance.domain.workflow_messages import EXPIRE_EXPORT, WORKFLOW_NAME, RequestOrder, SubjectRequestInput
from weir_compliance.entrypoints.workflow import SubjectRequestWorkflow

HISTORIES = sorted((Path(__file__).parent.parent / "histories").glob("*.json"))
BRANCHES = {"fulfilled", "cancelled", "expired", "store_failure", "store_refused", "store_late_and_rerun", "part_lost"}


def recorded(path: Path) -> WorkflowHistory:
    document = json.loads(path.read_text())
    return WorkflowHistory.from_json(document["workflow_id"], document["history"])


def converter() -> object:
    return sealing_converter(ExportKeyRing([ExportKey.of(b"the key of recorded histories 32")]))


def test_there_is_a_history_of_each_branch() -> None:
    assert {path.stem for path in HISTORIES} == BRANCHES


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_request_can_be_replayed(path: Path) -> None:
    replayer = Replayer(workflows=[SubjectRequestWorkflow], data_converter=converter())  # type: ignore[arg-type]
    result = await replayer.replay_workflow(recorded(path))
    assert result.replay_failure is None


@workflow.defn(name=WORKFLOW_NAME)
class ChangedWorkflow:
    """The same name, another order of steps."""

    @workflow.run
    async def run(self, request: SubjectRequestInput) -> str:
        await workflow.execute_activity(
            EXPIRE_EXPORT, RequestOrder(request.request_ref), start_to_close_timeout=timedelta(1)
        )
        return "changed"


async def test_a_changed_workflow_is_noticed() -> None:
    replayer = Replayer(
        workflows=[ChangedWorkflow],
        data_converter=converter(),  # type: ignore[arg-type]
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    result = await replayer.replay_workflow(recorded(HISTORIES[0]), raise_on_replay_failure=False)
    assert isinstance(result.replay_failure, workflow.NondeterminismError)
