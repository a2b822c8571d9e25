"""The models that triggers of the tests are on."""

import uuid
from datetime import UTC, datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Invoice(Base):
    """Has a whole number as its key; ``acts`` counts what was done to it."""

    __tablename__ = "invoice"

    id: Mapped[int] = mapped_column(primary_key=True)
    processed: Mapped[bool] = mapped_column(default=False)
    acts: Mapped[int] = mapped_column(default=0)
    note: Mapped[str] = mapped_column(default="")
    due: Mapped[int | None]
    tenant: Mapped[str | None]


class Line(Base):
    """Has a key of two columns."""

    __tablename__ = "line"

    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    done: Mapped[bool] = mapped_column(default=False)


class Document(Base):
    """Has a UUID as its key, and a time."""

    __tablename__ = "document"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    title: Mapped[str] = mapped_column(default="")
    made_at: Mapped[datetime] = mapped_column(
        default=lambda: datetime.now(UTC).replace(tzinfo=None)
    )
    done: Mapped[bool] = mapped_column(default=False)
