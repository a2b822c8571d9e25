"""The jobs of the shop: one in a thread, one in the event loop, one in a process."""

from django.core.mail import send_mail
from django.db.models import F, Sum

from elihu import Context, Unique
from elihu.contrib.django import app
from shop.models import Article, Order

LOW = 5
DELIVERY = 100


@app.task(queue="mail", max_attempts=8)
def send_receipt(order_id: int) -> None:
    """Send a receipt, once: a second attempt sees the first one's mark."""
    order = Order.objects.select_related("article").get(pk=order_id)
    if not order.receipt:
        text = f"{order.amount} x {order.article.name}"
        send_mail("Your order", text, "shop@example.com", [order.email])
        Order.objects.filter(pk=order_id).update(receipt=text)


@app.cron("*/10 * * * *")
@app.task(unique=Unique())
async def restock(*, ctx: Context = Context()) -> int:
    """Order what is nearly sold out."""
    low = Article.objects.filter(stock__lt=LOW)
    names = [article.name async for article in low]
    ctx.log.info("nearly sold out: %s", ", ".join(names) or "nothing")
    return await low.aupdate(stock=F("stock") + DELIVERY)


@app.task(run_in="process", timeout="5m", record=True)
def report() -> dict[str, int]:
    """The number of articles sold, by name."""
    sold = Order.objects.values("article__name").annotate(sold=Sum("amount"))
    return {each["article__name"]: each["sold"] for each in sold}
