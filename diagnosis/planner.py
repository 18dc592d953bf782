"""The size of the table of readings on a large site, for `xraysite.common.planner`."""

from diagnosis.models import Reading
from xraysite.common.planner import Figures

READINGS = Figures(
    model=Reading,
    rows=1_000_000,
    # As if there were ten doctors only: the pages of the largest are to be quick too.
    distinct={
        "label": 4, "doctor": 10, "model_version": 3, "agreement": 2, "age_scope": 1,
        "exam_date": 2000, "withheld": 1, "patient_name_key": 100_000,
    },
    partial={
        "reading_agreement": 50_000, "reading_age_scope": 30_000, "reading_hidden": 5_000,
        "reading_withheld": 1_000,
    },
    unique=("id",),
)  # fmt: skip
