"""What the tasks write."""

from django.db import models


class Order(models.Model):
    """An order."""

    item = models.CharField(max_length=50)
    shipped = models.BooleanField(default=False)

    class Meta:
        app_label = "shop"
