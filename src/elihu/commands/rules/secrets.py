"""What is stored encrypted."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.models import Alert, Variable


async def any_stored(session: AsyncSession) -> bool:
    """Whether a variable or an alert has a secret."""
    for model in (Variable, Alert):
        statement = select(model.id).where(model.secret.is_not(None)).limit(1)
        if await session.scalar(statement) is not None:
            return True
    return False
