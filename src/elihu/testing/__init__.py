"""Tools for testing applications that use Elihu."""
