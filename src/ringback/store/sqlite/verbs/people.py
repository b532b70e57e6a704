"""People, their sessions, and who did what."""

from __future__ import annotations

from collections.abc import Sequence

from ringback.people import Credentials, Session, SignedIn, User, UserEdit
from ringback.store.port import AuditFilter, AuditRow, Change, Page
from ringback.store.sqlite import people, sessions
from ringback.store.sqlite.verbs.database import Verbs


class PeopleVerbs(Verbs):
    async def create_user(self, who: Credentials, change: Change) -> None:
        await self._db.write(lambda tx: people.create_user(tx, who, change))

    async def get_user(self, user_id: int) -> User:
        return await self._db.read(lambda db: people.get_user(db, user_id))

    async def credentials(self, email: str) -> Credentials | None:
        return await self._db.read(lambda db: people.credentials(db, email))

    async def list_users(self, limit: int, before: int | None) -> Page[User]:
        return await self._db.read(lambda db: people.list_users(db, limit, before))

    async def change_user(self, user_id: int, edit: UserEdit, change: Change, keep: int | None) -> User:
        return await self._db.write(lambda tx: people.change_user(tx, user_id, edit, change, keep))

    async def delete_user(self, user_id: int, change: Change) -> None:
        await self._db.write(lambda tx: people.delete_user(tx, user_id, change))

    async def renew_welcome(self, digest: bytes) -> bool:
        return await self._db.write(lambda tx: people.renew_welcome(tx, digest))

    async def is_welcome(self, digest: bytes) -> bool:
        return await self._db.read(lambda db: people.is_welcome(db, digest))

    async def create_first_owner(
        self, who: Credentials, welcome: bytes, session: Session, changes: Sequence[Change]
    ) -> None:
        await self._db.write(lambda tx: people.create_first_owner(tx, who, welcome, session, changes))

    async def begin_attempt(self, email: str, address: str, now: int) -> None:
        # A flood of them never reaches the writer, where a job that fails has its whole batch done again.
        await self._db.read(lambda db: sessions.check_patience(db, email, address, now))
        await self._db.write(lambda tx: sessions.begin_attempt(tx, email, address, now))

    async def sign_in(
        self, session: Session, tried: Credentials, address: str, rehashed: str | None, change: Change
    ) -> User | None:
        return await self._db.write(
            lambda tx: sessions.sign_in(tx, session, tried, address, rehashed, change)
        )

    async def confirm(self, session_id: int, email: str, address: str, change: Change) -> None:
        await self._db.write(lambda tx: sessions.confirm(tx, session_id, email, address, change))

    async def find_session(self, digest: bytes, now: int) -> SignedIn | None:
        return await self._db.read(lambda db: sessions.find_session(db, digest, now))

    async def see_session(self, session_id: int, now: int) -> None:
        await self._db.write(lambda tx: sessions.see_session(tx, session_id, now))

    async def end_session(self, session_id: int, change: Change) -> None:
        await self._db.write(lambda tx: sessions.end_session(tx, session_id, change))

    async def forget_expired(self, now: int, limit: int) -> int:
        if not await self._db.read(lambda db: sessions.anything_expired(db, now)):
            return 0
        return await self._db.write(lambda tx: sessions.forget_expired(tx, now, limit))

    async def list_audit(
        self, business_id: int | None, wanted: AuditFilter, limit: int, before: int | None
    ) -> Page[AuditRow]:
        from ringback.store.sqlite import audit_log

        return await self._db.read(lambda db: audit_log.list_audit(db, business_id, wanted, limit, before))
