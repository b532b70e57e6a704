"""People, their sessions, and the log of who did what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ringback.model import Value
from ringback.people import Credentials, Session, SignedIn, User, UserEdit
from ringback.store.port.configuration import Change
from ringback.store.port.paging import Page


class AuditFilter(Value, frozen=True, kw_only=True):
    """All must hold; None does not filter."""

    actor: str | None = None
    action: str | None = None
    thing: str | None = None
    since: int | None = None
    until: int | None = None


class AuditRow(Value, frozen=True, kw_only=True):
    row_id: int
    at: int
    actor: str
    action: str
    thing: str
    detail: str | None
    business_id: int | None


class People(Protocol):
    # -- users

    async def create_user(self, who: Credentials, change: Change) -> None:
        """Raises Conflict where the email is taken."""
        ...

    async def get_user(self, user_id: int) -> User:
        """Raises NotFound."""
        ...

    async def credentials(self, email: str) -> Credentials | None: ...

    async def list_users(self, limit: int, before: int | None) -> Page[User]: ...

    async def change_user(self, user_id: int, edit: UserEdit, change: Change, keep: int | None) -> User:
        """A new password, role or a disabled account ends the user's sessions, but the session `keep`.

        The names of the changed fields become the change's detail; where nothing changes nothing is written.
        Raises NotFound; Conflict where no enabled owner would be left; NotSignedIn where the password is not
        the one any more that was proved for the change.
        """
        ...

    async def delete_user(self, user_id: int, change: Change) -> None:
        """With all sessions. Raises NotFound; Conflict where no enabled owner would be left."""
        ...

    # -- the first owner

    async def renew_welcome(self, digest: bytes) -> bool:
        """Make this the one link that makes the first owner; False where there are users already."""
        ...

    async def is_welcome(self, digest: bytes) -> bool: ...

    async def create_first_owner(
        self, who: Credentials, welcome: bytes, session: Session, changes: Sequence[Change]
    ) -> None:
        """Use the link up: the user and a session, with an audit row for each.

        Raises NotSignedIn where it is not the link, Conflict where there are users already.
        """
        ...

    # -- signing in

    async def begin_attempt(self, email: str, address: str, now: int) -> None:
        """Count an attempt as wrong until it is proved right. Raises RateLimited, and then counts nothing."""
        ...

    async def sign_in(
        self, session: Session, tried: Credentials, address: str, rehashed: str | None, change: Change
    ) -> User | None:
        """The attempt was right: a session, and nothing wrong is counted any more; how many wrong passwords
        there were goes into the change's detail. A user's oldest sessions end where there are too many.

        None where the account was changed, disabled or removed since `tried` was read.
        """
        ...

    async def confirm(self, session_id: int, email: str, address: str, change: Change) -> None:
        """The attempt was right: the session is fresh again."""
        ...

    async def find_session(self, digest: bytes, now: int) -> SignedIn | None:
        """Its user as of now, a disabled one too."""
        ...

    async def see_session(self, session_id: int, now: int) -> None:
        """It was used: its end moves on."""
        ...

    async def end_session(self, session_id: int, change: Change) -> None:
        """Nothing happens where it has ended already."""
        ...

    async def forget_expired(self, now: int, limit: int) -> int:
        """Remove sessions that have ended and wrong passwords long ago; how many rows went, at most `limit`
        of each.
        """
        ...

    # -- the audit log

    async def list_audit(
        self, business_id: int | None, wanted: AuditFilter, limit: int, before: int | None
    ) -> Page[AuditRow]:
        """Of one business; None: everything there is."""
        ...
