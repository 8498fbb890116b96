"""The page that people draw on: built from ui/, served as it lies in static/."""

from inkwash.web.page import add_page

__all__ = ["add_page"]
