"""Generated accounts, readings and audit entries for the benchmarks of pages."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

import multiply

SEED = 11
DOCTORS = 1000
YEARS = 5
SHARE_OF_ONE_DOCTOR = 0.1  # so that one doctor's history has 100,000 of a million readings
FAMILY = "陳林黃張李王吳劉蔡楊許鄭謝洪郭邱曾廖賴徐周葉蘇莊呂江何蕭羅高潘簡朱鍾彭游詹胡施沈"
GIVEN = "怡君雅婷志明淑芬家豪欣宜俊傑美玲冠宇佳穎建宏惠雯承恩品妍宥翔子晴柏睿芯語宇恩詠"
# Rows that the site's own code makes; the others are copies of them.
MADE = 10_000
DAYS = 365
SHARE_OF_LISTS = 0.1
LISTED = 25


def make_people(doctors: int = DOCTORS) -> tuple[Any, list[Any]]:
    """Return a supervisor and the doctors; those of an earlier run if there are any."""
    from django.contrib.auth.models import Group

    from accounts import roles, services
    from accounts.models import User

    found = list(User.objects.filter(email__startswith="doctor-").order_by("pk"))
    if found:
        return User.objects.get(email="supervisor@example.org"), found

    def account(name: str, role: str) -> Any:
        return services.create_account(
            email=f"{name}@example.org", display_name=name, password="x" * 20, role=role
        )

    first = account("doctor-0", roles.DOCTOR)
    # A password takes longer to hash than everything else; these accounts never sign in by one.
    others = User.objects.bulk_create(
        User(
            email=f"doctor-{n}@example.org", display_name=f"doctor-{n}", password=first.password,
            approval=User.Approval.APPROVED,
        )
        for n in range(1, doctors)
    )  # fmt: skip
    Group.objects.get(name=roles.DOCTOR).user_set.add(*others)
    return account("supervisor", roles.SUPERVISOR), [first, *others]


def make_readings(count: int, doctors: list[Any]) -> Iterator[Any]:
    """Yield `count` realistic readings over the last years, oldest first."""
    from diagnosis.models import AgeScope, Agreement, Label, Reading
    from mlcore import inference
    from mlcore.models import ModelVersion

    rng = random.Random(SEED)  # noqa: S311
    active = ModelVersion.objects.get(is_active=True)
    versions = [
        ModelVersion.objects.create(name=f"earlier-{n}", bundle_sha256="0" * 64, path="", card={})
        for n in range(2)
    ] + [active]
    maps = [
        inference.encode_activation_map([[rng.random() for _ in range(8)] for _ in range(8)])
        for _ in range(50)
    ]
    now = datetime.now(UTC)
    for n in range(count):
        label = rng.choices(list(Label), [60, 30, 5, 5])[0]
        made = now - timedelta(days=365.25 * YEARS) * (1 - (n + 1) / (count + 1))
        reviewed = rng.random() < 0.05 and label in (Label.NORMAL, Label.PNEUMONIA)
        hidden = rng.random() < 0.005
        mine = rng.random() < SHARE_OF_ONE_DOCTOR
        doctor = doctors[0] if mine else rng.choice(doctors[1:])
        probability = rng.random()
        yield Reading(
            doctor=doctor,
            patient_name=rng.choice(FAMILY) + rng.choice(GIVEN) + rng.choice(GIVEN),
            patient_number=f"P{n:07d}",
            patient_age_years=rng.randint(1, 5),
            exam_date=date.fromordinal(made.date().toordinal() - rng.randint(0, 3)),
            film_sha256=f"{rng.getrandbits(256):064x}",
            film_format="DICOM",
            film_bytes=rng.randint(200_000, 9_000_000),
            film_width=2000,
            film_height=1800,
            label=label,
            probabilities={"NORMAL": 1 - probability, "PNEUMONIA": probability},
            threshold=0.736,
            scope_score=rng.random(),
            scope_threshold=1.0,
            activation_map=rng.choice(maps),
            model_version=versions[min(2, 3 * n // count)],
            bundle_sha256=active.bundle_sha256,
            preprocessing_id="bench",
            inference_ms=10,
            created_at=made,
            hidden_at=made if hidden else None,
            hidden_by=doctor if hidden else None,
            hidden_reason="NOT_NEEDED" if hidden else "",
            agreement=rng.choices(list(Agreement), [92, 8])[0] if reviewed else "",
            age_scope=AgeScope.OUTSIDE if rng.random() < 0.03 else AgeScope.INSIDE,
            opened_at=made if rng.random() < 0.9 else None,
            waiting_since=None if reviewed or rng.random() < 0.5 else made,
        )


def _verdict(reading: Any) -> str:
    """Return the assessment by which doctor and model agree or not, as the reading says."""
    if reading.agreement == "AGREE":
        return str(reading.label)
    return ({"NORMAL", "PNEUMONIA"} - {str(reading.label)}).pop()


def fill_readings(count: int, doctors: list[Any]) -> None:
    """Store `count` readings, most of them copies of the first `MADE`."""
    from diagnosis.models import Opinion, Reading, Review, Stage

    Reading._meta.get_field("created_at").auto_now_add = False  # type: ignore[attr-defined]
    made = min(count, MADE)
    copies = count // made - 1
    apart_s = 365.25 * 86400 * YEARS / (made * (copies + 1))
    rows = make_readings(made, doctors)
    while some := list(islice(rows, 5000)):
        for one in some:
            if one.agreement:
                one.own_verdict = _verdict(one)
        Reading.objects.bulk_create(some)
        opinions = Opinion.objects.bulk_create(
            Opinion(
                reading=one, author=one.doctor, stage=Stage.SIGNED, verdict=one.own_verdict,
                recorded_at=one.created_at,
            )
            for one in some
            if one.agreement
        )  # fmt: skip
        Review.objects.bulk_create(
            Review(
                reading=each.reading, doctor=each.author, opinion=each, verdict=each.verdict,
                signed_at=each.recorded_at,
            )
            for each in opinions
        )  # fmt: skip
    multiply.readings(copies, apart_s=apart_s)
    multiply.analyse()


def make_entries(
    count: int, people: list[Any], keys: list[str], *, days: float = DAYS
) -> Iterator[Any]:
    """Yield `count` sealed entries of the first `days` of the last year, oldest first."""
    from django.conf import settings
    from django.contrib.contenttypes.models import ContentType

    from accounts.audit.models import SHOWN, AuditHead, mac
    from accounts.models import AuditEntry
    from diagnosis.models import Reading

    rng = random.Random(SEED)  # noqa: S311
    kind = ContentType.objects.get_for_model(Reading)
    head = AuditHead.objects.locked()
    start = datetime.now(UTC) - timedelta(days=DAYS)
    for n in range(count):
        person = rng.choice(people)
        is_list = rng.random() < SHARE_OF_LISTS
        key = "" if is_list else rng.choice(keys)
        entry = AuditEntry(
            sequence=head.sequence + 1,
            timestamp=start + timedelta(days=days) * (n + 1) / (count + 1),
            what="list" if is_list else rng.choice(["page", "film", "heatmap"]),
            action=AuditEntry.Action.ACCESS,
            actor=person, actor_pk=person.pk, actor_email=person.email,
            remote_addr=f"10.0.0.{person.pk % 250}",
            content_type=kind, object_pk=key, object_repr=key or "*",
            changes={}, changes_text="",
            additional_data={SHOWN: rng.sample(keys, min(LISTED, len(keys)))} if is_list else None,
            previous_seal=head.seal,
        )  # fmt: skip
        entry.seal = mac(entry.sealed_text(), settings.SECRET_KEY)
        head.sequence, head.seal = entry.sequence, entry.seal
        yield entry
    head.move_to(entry)


def fill_entries(count: int, people: list[Any], keys: list[str]) -> None:
    """Store `count` entries of the audit log, most of them copies of the first `MADE`."""
    from django.db import models, transaction

    from accounts.models import AuditEntry, AuditMention

    made = min(count, MADE)
    copies = count // made - 1
    days = DAYS / (copies + 1)
    with transaction.atomic():
        rows = make_entries(made, people, keys, days=days)
        while some := list(islice(rows, 2000)):
            # The log's own manager refuses to write in bulk.
            models.QuerySet(AuditEntry).bulk_create(some)
            for entry in some:
                AuditMention.objects.add(entry, entry.shown_keys)
    multiply.entries(copies, apart_s=days * 86400, listed=LISTED)
    multiply.analyse()
