"""The tables of accounts, as SQLAlchemy models."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, MetaData, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from elihu.accounts.roles import Role
from elihu.orm.columns import SCHEMA, Moment, new_id


class Base(DeclarativeBase):
    metadata = MetaData(schema=SCHEMA)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: Moment,
        UUID: Uuid,
        str: Text,
        bytes: LargeBinary,
    }


class User(Base):
    """A person. ``password`` is a PHC string of Argon2id; None where only keys sign in."""

    __tablename__ = "account_user"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str | None]
    stored_role: Mapped[str] = mapped_column("role")
    enabled: Mapped[bool] = mapped_column(default=True)
    preferences: Mapped[str] = mapped_column(default="{}")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    signed_in_at: Mapped[datetime | None]

    @property
    def role(self) -> Role:
        return Role(self.stored_role)


class SignedIn(Base):
    """A signed-in browser. ``digest`` is that of its token."""

    __tablename__ = "account_session"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    address: Mapped[str | None]
    browser: Mapped[str | None]


class ApiKey(Base):
    """A key of a program, with at most the role of its user. ``start`` is its first
    characters. ``areas`` are joined by commas; None for all.
    """

    __tablename__ = "account_key"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    name: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    start: Mapped[str]
    stored_role: Mapped[str] = mapped_column("role")
    areas: Mapped[str | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]

    @property
    def role(self) -> Role:
        return Role(self.stored_role)


class SignInLimit(Base):
    """Attempts to sign in since ``begun_at``."""

    __tablename__ = "account_limit"

    subject: Mapped[str] = mapped_column(primary_key=True)
    attempts: Mapped[int]
    begun_at: Mapped[datetime]


class AuditEntry(Base):
    """A change: who, how, what, and what was before and after, as JSON without secrets."""

    __tablename__ = "account_audit"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[datetime]
    user_id: Mapped[UUID | None]
    user_name: Mapped[str]
    via: Mapped[str]
    address: Mapped[str | None]
    action: Mapped[str]
    kind: Mapped[str]
    object_id: Mapped[str | None]
    object_name: Mapped[str | None]
    before: Mapped[str | None]
    after: Mapped[str | None]


class AnsweredRequest(Base):
    """The answer to a request with an idempotency key."""

    __tablename__ = "account_request"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    asked: Mapped[bytes]
    answer: Mapped[str]
    answered_at: Mapped[datetime]
