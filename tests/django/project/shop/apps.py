"""The application of the project."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "tests.django.project.shop"
    label = "shop"
