"""The size of the table of readings on a large site, for `xraysite.common.planner`."""

from diagnosis.models import Reading
from xraysite.common.planner import Figures

READINGS = Figures(
    model=Reading,
    rows=1_000_000,
    # As if there were ten doctors only: the pages of the largest are to be quick too.
    distinct={
        "label": 4, "doctor": 10, "model_version": 3, "agreement": 2, "age_scope": 1,
        "exam_date": 2000, "withheld": 1, "patient_name_key": 100_000, "own_verdict": 5,
        "is_unread": 2, "patient_age_years": 20, "urgency": 4, "pneumonia_probability": 10_000,
        "study": 700_000, "team": 20, "assigned_to": 100, "film_study_uid": 700_000,
        "second_state": 4,
    },
    partial={
        "reading_agreement": 50_000, "reading_age_scope": 30_000, "reading_hidden": 5_000,
        "reading_withheld": 1_000, "reading_own_waiting": 100_000,
        "reading_team_newest": 500_000, "reading_assigned": 50_000, "reading_second": 20_000,
    },
    unique=("id",),
)  # fmt: skip
