"""The indexes of readings, and the columns that lists are sorted by."""

from django.db import models

from diagnosis.models.choices import AgeScope, Agreement

NEWEST_FIRST = ["-created_at", "-id"]
NOT_HIDDEN = models.Q(hidden_at__isnull=True)
WAITING = models.Q(waiting_since__isnull=False)
# What the worklist is filtered by. Each of its orders has an index with all of them, so that a page
# is found within the index, whatever the filter: for one doctor, that is fast enough.
FILTERED = [
    "withheld",
    "label",
    "own_verdict",
    "is_unread",
    "waiting_since",
    "exam_date",
    "patient_age_years",
    "hidden_at",
]

# Choices of filters that few readings have. Their indexes contain these readings only, so that an
# upload does not write to them, and all columns that the list is filtered by.
ASSESSED = models.Q(agreement=Agreement.AGREE) | models.Q(agreement=Agreement.DISAGREE)
AGE_OUTSIDE = models.Q(age_scope=AgeScope.OUTSIDE)
HIDDEN = models.Q(hidden_at__isnull=False)

# SQLite uses an index for a query on `hidden_at` only if it contains that column, even if the
# index's condition fixes its value. `diagnosis.planner` tells SQLite how selective each index is.
READING_INDEXES = [
    # A doctor's worklist: newest first, and searched within the index.
    models.Index(
        fields=["doctor", *NEWEST_FIRST, "patient_name_key", "patient_number_key", *FILTERED],
        condition=NOT_HIDDEN,
        name="reading_own_newest",
    ),
    # Its other orders, and the counts beside its filters.
    models.Index(
        fields=[
            "doctor", "waiting_since", "id", "urgency", "-pneumonia_probability", "created_at",
            *(name for name in FILTERED if name != "waiting_since"),
        ],
        condition=NOT_HIDDEN & WAITING,
        name="reading_own_waiting",
    ),
    models.Index(
        fields=["doctor", "patient_name_key", *NEWEST_FIRST, *FILTERED],
        condition=NOT_HIDDEN,
        name="reading_own_name",
    ),
    models.Index(
        fields=[
            "doctor", "patient_age_years", *NEWEST_FIRST,
            *(name for name in FILTERED if name != "patient_age_years"),
        ],
        condition=NOT_HIDDEN,
        name="reading_own_age",
    ),
    models.Index(
        fields=["doctor", "-pneumonia_probability", *NEWEST_FIRST, *FILTERED],
        condition=NOT_HIDDEN,
        name="reading_own_probability",
    ),
    models.Index(
        fields=[
            "doctor", "withheld", "label", "own_verdict", "is_unread", "waiting_since",
            "created_at", "exam_date", "patient_age_years", "patient_name_key",
            "patient_number_key", "hidden_at", "id",
        ],
        condition=NOT_HIDDEN,
        name="reading_own_counts",
    ),
    # File names, searched within the index where no patient matches.
    models.Index(
        fields=["doctor", "original_name", "hidden_at", "id"],
        condition=NOT_HIDDEN,
        name="reading_own_file",
    ),
    # Those of one doctor, for the worklist and for the supervisors' list.
    models.Index(
        fields=[
            "doctor", "label", *NEWEST_FIRST, *(name for name in FILTERED if name != "label"),
        ],
        name="reading_own_label",
    ),
    models.Index(
        fields=[
            "doctor", "-exam_date", *NEWEST_FIRST,
            *(name for name in FILTERED if name != "exam_date"),
        ],
        name="reading_own_exam_date",
    ),
    models.Index(
        fields=[
            "doctor", *NEWEST_FIRST, "model_version", "agreement", "age_scope", "hidden_at",
        ],
        name="reading_doctor",
    ),
    # The supervisors' list. Each filter, and any two of them, have an index in the order of the
    # list: either it begins with both, or few of the entries that it is searched through differ in
    # the second one.
    models.Index(
        fields=[*NEWEST_FIRST, "age_scope", "exam_date", "hidden_at"], name="reading_newest"
    ),
    models.Index(fields=["label", *NEWEST_FIRST, "age_scope", "hidden_at"], name="reading_label"),
    models.Index(fields=["label", "model_version", *NEWEST_FIRST], name="reading_label_model"),
    models.Index(fields=["label", "-exam_date", *NEWEST_FIRST], name="reading_label_exam_date"),
    models.Index(
        fields=["model_version", *NEWEST_FIRST, "age_scope", "hidden_at"], name="reading_model"
    ),
    models.Index(
        fields=["model_version", "-exam_date", *NEWEST_FIRST], name="reading_model_exam_date"
    ),
    models.Index(
        fields=["-exam_date", *NEWEST_FIRST, "age_scope", "hidden_at"], name="reading_exam_date"
    ),
    models.Index(
        fields=[
            "agreement", *NEWEST_FIRST, "label", "doctor", "model_version", "age_scope",
            "hidden_at", "exam_date",
        ],
        condition=ASSESSED,
        name="reading_agreement",
    ),
    models.Index(
        fields=[
            "age_scope", *NEWEST_FIRST, "label", "doctor", "model_version", "agreement",
            "hidden_at", "exam_date",
        ],
        condition=AGE_OUTSIDE,
        name="reading_age_scope",
    ),
    # SQLite searches it only if it begins with the column of its condition; the few readings in it
    # are then sorted.
    models.Index(
        fields=[
            "hidden_at", *NEWEST_FIRST, "hidden_reason", "label", "doctor", "model_version",
            "agreement", "age_scope", "exam_date",
        ],
        condition=HIDDEN,
        name="reading_hidden",
    ),
    # Covers the statistics on the admin's first page, the list without deleted readings, and
    # worklists of doctors with teams (`worklist_of`).
    models.Index(
        fields=[
            *NEWEST_FIRST, "doctor", "label", "agreement", "film_bytes", "hidden_at", "age_scope",
            "team",
        ],
        condition=NOT_HIDDEN,
        name="reading_shown",
    ),
    # Prefixes of names and numbers; PostgreSQL needs the operator class in any locale but C.
    models.Index(
        fields=["patient_name_key", "-created_at"],
        opclasses=["varchar_pattern_ops", "timestamptz_ops"],
        name="reading_name_key",
    ),
    models.Index(
        fields=["patient_number_key", "-created_at"],
        opclasses=["varchar_pattern_ops", "timestamptz_ops"],
        name="reading_number_key",
    ),
    # The same picture under several patients, counted within the index.
    models.Index(
        fields=["film_pixels_sha256", "patient_name_key", "patient_number_key", "doctor"],
        condition=~models.Q(film_pixels_sha256=""),
        name="reading_same_picture",
    ),
    # Subtracted from every filter by result, see `ReadingQuerySet.answered`.
    models.Index(
        fields=["withheld", "doctor", "id"],
        condition=models.Q(withheld=True),
        name="reading_withheld",
    ),
]  # fmt: skip
