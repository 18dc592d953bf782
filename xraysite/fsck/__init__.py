"""Checks of everything that a site stores, and repairs where a repair loses nothing."""
