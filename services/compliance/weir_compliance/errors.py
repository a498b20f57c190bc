"""What can go wrong in compliance, and what to do about it.

Each error carries a short stable code and never a value: its text ends up in workflow histories, logs and status
documents.

StoreError
 ├─ StoreUnavailableError      retry: the service is down, slow, or broke off
 ├─ StoreRefusedError          stop this store: it says that retrying cannot help; a person looks and re-runs it
 └─ StoreFalseError            stop this store: it sent another tenant's or another request's data
PartDamagedError          ask that store again: what it delivered is gone, or is not what was receipted
RequestGoneError          stop the workflow: the request does not exist (any more), or is final
KeyUnavailableError       stop the process: no export key, or a file sealed under a key that nobody has
"""

from weir_common.errors import RetryError, StopError, WeirError


class StoreError(WeirError):
    """Asking one service for a subject's data failed. `code` is what the status document shows."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class StoreUnavailableError(StoreError, RetryError):
    pass


class StoreRefusedError(StoreError):
    pass


class StoreFalseError(StoreError):
    pass


class PartDamagedError(WeirError):
    def __init__(self, store: str) -> None:
        super().__init__(store)
        self.store = store


class RequestGoneError(WeirError):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class KeyUnavailableError(StopError):
    pass
