"""The shop in the admin, beside Elihu's jobs and runs."""

from django.contrib import admin

from shop.models import Article, Order

admin.site.register(Article)
admin.site.register(Order)
