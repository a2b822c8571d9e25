"""A view that stores an order and its job in one transaction."""

from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt

from shop.models import Article, Order
from shop.tasks import send_receipt


@csrf_exempt  # this example has no form
@transaction.atomic
def order(request: HttpRequest) -> JsonResponse:
    """Order an article: ``article``, ``amount`` and ``email`` are posted."""
    article = get_object_or_404(Article, name=request.POST["article"])
    amount = int(request.POST["amount"])
    order = Order.objects.create(article=article, amount=amount, email=request.POST["email"])
    job = send_receipt.enqueue(order.pk)
    left = Article.objects.filter(pk=article.pk, stock__gte=amount).update(
        stock=F("stock") - amount
    )
    if not left:
        transaction.set_rollback(True)  # neither order nor job
        return JsonResponse({"error": "sold out"}, status=409)
    return JsonResponse({"order": order.pk, "job": job.id})
