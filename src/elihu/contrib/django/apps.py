"""The Django application."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules

from elihu.contrib.django import checks
from elihu.contrib.django.tables import empty_after_flush


class ElihuConfig(AppConfig):
    """Finds the module ``tasks`` of each installed application."""

    name = "elihu.contrib.django"
    label = "elihu"
    verbose_name = "Elihu"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        checks.register()
        post_migrate.connect(empty_after_flush, sender=self)
        autodiscover_modules("tasks")
