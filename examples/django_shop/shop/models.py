"""Articles and their orders."""

from django.db import models


class Article(models.Model):
    """What the shop sells."""

    name = models.CharField(max_length=50, unique=True)
    stock = models.IntegerField(default=0)


class Order(models.Model):
    """An order of one article. ``receipt`` is the text that was sent."""

    article = models.ForeignKey(Article, models.CASCADE)
    amount = models.PositiveIntegerField()
    email = models.EmailField()
    receipt = models.TextField(blank=True)
