"""Tests of the shop: ``manage.py test``."""

from django.core import mail
from django.test import TestCase

from elihu.contrib.django.testing import all_enqueued, assert_enqueued, drain
from shop.models import Article, Order
from shop.tasks import report, restock, send_receipt


class OrderTest(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.tea = Article.objects.create(name="tea", stock=3)

    def order(self, amount: int) -> int:
        posted = {"article": "tea", "amount": amount, "email": "ada@example.com"}
        return self.client.post("/orders/", posted).status_code

    def test_an_order_gets_its_receipt(self) -> None:
        assert self.order(2) == 200
        order = Order.objects.get()
        assert_enqueued(send_receipt, args={"order_id": order.pk}, queue="mail")
        assert drain().completed == 1
        assert [sent.body for sent in mail.outbox] == ["2 x tea"]
        order.refresh_from_db()
        assert order.receipt == "2 x tea"

    def test_a_second_attempt_sends_nothing(self) -> None:
        self.order(1)
        send_receipt.enqueue(Order.objects.get().pk)
        assert drain().completed == 2
        assert len(mail.outbox) == 1

    def test_an_order_that_fails_leaves_no_job(self) -> None:
        assert self.order(4) == 409
        assert (Order.objects.count(), all_enqueued()) == (0, [])

    def test_what_is_nearly_sold_out_is_ordered(self) -> None:
        restock.enqueue()
        assert drain().completed == 1
        self.tea.refresh_from_db()
        assert self.tea.stock == 103

    def test_the_report_counts_what_was_sold(self) -> None:
        self.order(1)
        self.order(2)
        assert report() == {"tea": 3}
