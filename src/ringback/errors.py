"""Every error ringback raises on purpose.

    RingbackError
    ├── Refused                     the caller asked for something that cannot be done
    │   ├── InvalidRequest          fields are at fault; each is named
    │   ├── InvalidJson             the body is not strict JSON
    │   ├── BodyTooLarge
    │   ├── UnsupportedMediaType
    │   ├── InvalidApiKey
    │   │   └── NotSignedIn         no session, or a wrong password
    │   ├── PermissionDenied
    │   ├── UserDisabled
    │   ├── BusinessDisabled
    │   ├── NotFound
    │   ├── Conflict
    │   └── RateLimited             wrong passwords: wait
    ├── Unavailable                 not accepted now, worth trying again
    ├── ConfigurationError          a setting, a key or a file is wrong: the process cannot start
    │   └── CannotListen            the address is taken, or not this machine's
    └── StoreError
        ├── StoreUnavailable        full, locked or read-only: nothing was written
        ├── StoreBroken             the state of the last commit is unknown: the process must end
        ├── StaleSnapshot           the batch was matched on settings that have changed since
        └── Poisoned                one request's data makes the commit fail

Nothing here knows HTTP or exit codes: `api/answers.py` and `cli/main.py` translate.
"""

from __future__ import annotations

from dataclasses import dataclass


class RingbackError(Exception):
    """Base of all errors raised on purpose."""


class Refused(RingbackError):
    """The request cannot be done as asked; the message says why, in words for its sender."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field at fault, named as the sender wrote it: `Fields.Url`, `[3].EventType`."""

    field: str
    message: str


class InvalidRequest(Refused):
    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class InvalidJson(Refused):
    pass


class BodyTooLarge(Refused):
    pass


class UnsupportedMediaType(Refused):
    pass


class InvalidApiKey(Refused):
    pass


class PermissionDenied(Refused):
    pass


class NotSignedIn(InvalidApiKey):
    pass


class UserDisabled(Refused):
    pass


class BusinessDisabled(Refused):
    pass


class NotFound(Refused):
    pass


class Conflict(Refused):
    pass


class RateLimited(Refused):
    """Refused without a look at the password. `retry_after` is in whole seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(RingbackError):
    """Not accepted now. `retry_after` is in whole seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConfigurationError(RingbackError):
    pass


class CannotListen(ConfigurationError):
    pass


class StoreError(RingbackError):
    pass


class StoreUnavailable(StoreError):
    pass


class StoreBroken(StoreError):
    pass


class StaleSnapshot(StoreError):
    pass


class Poisoned(StoreError):
    pass
