"""Admin pages for readings."""

from diagnosis.admin.readings import ReadingAdmin

__all__ = ["ReadingAdmin"]
