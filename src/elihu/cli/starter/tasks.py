"""The tasks of this project. ``elihu up`` runs a node that executes their jobs."""

from elihu import Context, Elihu

app = Elihu()


@app.task(max_attempts=5, record=True)
async def greet(name: str, *, ctx: Context = Context()) -> str:
    ctx.log.info("attempt %d", ctx.attempt)
    print(f"Hello, {name}!")
    return f"greeted {name}"


@app.cron("0 6 * * *", tz="UTC")
async def each_morning() -> None:
    await greet.aenqueue("early bird")
