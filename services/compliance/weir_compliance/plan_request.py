"""First step of a request's workflow: which stores to ask, and the key under which they deliver."""

from collections.abc import Callable, Sequence
from uuid import UUID

from weir_common.ids import TenantId

from weir_compliance.domain.request_state import IllegalTransitionError
from weir_compliance.errors import RequestGoneError
from weir_compliance.ports import SubjectRequests


class PlanRequest:
    """`new_identity` makes a fresh age identity: its secret, and its recipient."""

    def __init__(
        self, requests: SubjectRequests, stores: Sequence[str], new_identity: Callable[[], tuple[str, str]]
    ) -> None:
        self._requests = requests
        self._stores = tuple(stores)
        self._new_identity = new_identity

    async def __call__(self, tenant_id: TenantId, request_id: UUID) -> Sequence[str]:
        """The stores. RequestGoneError when there is no such request, or it is over."""
        secret, _ = self._new_identity()
        try:
            await self._requests.plan(tenant_id, request_id, self._stores, secret)
        except IllegalTransitionError:
            raise RequestGoneError("request_final") from None
        return self._stores
