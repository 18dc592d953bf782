"""The admin of readings."""

from diagnosis.admin.readings import ReadingAdmin

__all__ = ["ReadingAdmin"]
