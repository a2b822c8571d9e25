"""Elihu inside other frameworks. Each package imports public names of ``elihu`` alone."""
