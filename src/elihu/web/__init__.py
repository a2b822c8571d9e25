"""The JSON API and the page. ``create_app`` makes the ASGI application."""

from elihu.web.app import create_app

__all__ = ["create_app"]
