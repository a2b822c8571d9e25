"""A project on the database that ``DJANGO_TEST_DATABASE`` names: a URL of PostgreSQL or
the path of an SQLite file.
"""

import os
from urllib.parse import urlsplit

import django

from elihu import Unique

WHERE = os.environ["DJANGO_TEST_DATABASE"]
if WHERE.startswith("postgresql://"):
    at = urlsplit(WHERE)
    JOBS = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": at.path.lstrip("/"),
        "USER": at.username,
        "PASSWORD": at.password or "",
        "HOST": at.hostname,
        "PORT": str(at.port),
        "OPTIONS": {"application_name": "orm"},
    }
else:
    JOBS = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": WHERE,
        "TEST": {"NAME": f"{WHERE}-test"},
    }
DATABASES = {
    "default": JOBS,
    "other": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DJANGO_OTHER_DATABASE", ":memory:"),
    },
}
SECRET_KEY = "a secret of tests"
USE_TZ = True
ROOT_URLCONF = "tests.django.project.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "elihu.contrib.django",
    "tests.django.project.shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ELIHU = {
    "database": os.environ.get("DJANGO_JOBS_IN", "default"),
    "queues": {"default": 10, "mail": 2},
    "poll": 0.5,
    "poll_fallback": 0.2,
    "heartbeat": 0.5,
    "dead_after": 20,
    "stager": {"interval": 0.1},
}
TASKS = {
    "default": {"BACKEND": "elihu.contrib.django.Backend", "QUEUES": ["default", "mail"]},
    "patient": {
        "BACKEND": "elihu.contrib.django.Backend",
        "OPTIONS": {"max_attempts": 3, "backoff": 0.1, "tags": ["patient"]},
    },
    "once": {
        "BACKEND": "elihu.contrib.django.Backend",
        "OPTIONS": {"unique": Unique()},
    },
    "anywhere": {"BACKEND": "elihu.contrib.django.Backend", "QUEUES": []},
}
if django.VERSION < (6,):
    INSTALLED_APPS.append("django_tasks")
