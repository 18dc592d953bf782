"""Admin pages for readings, patients and teams."""

from diagnosis.admin.patients import PatientAdmin
from diagnosis.admin.readings import ReadingAdmin
from diagnosis.admin.teams import TeamAdmin

__all__ = ["PatientAdmin", "ReadingAdmin", "TeamAdmin"]
