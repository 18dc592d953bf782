"""The pages that `bench_office` requests, by a description of each."""

from datetime import date, timedelta
from itertools import combinations, product
from typing import Any

from rows import GIVEN

ADMIN = "/admin/diagnosis/reading/"
WHO_SAW = "/admin/who-saw/"
AUDIT = "/admin/accounts/auditentry/"


def filters(doctors: list[Any]) -> dict[str, dict[str, str]]:
    """Return two values of each filter, a frequent and a rare one, as parts of a query string."""
    from diagnosis.models import Reading
    from mlcore.models import ModelVersion

    one = Reading.objects.order_by("-created_at")[3]
    when = one.created_at
    oldest = ModelVersion.objects.get(name="earlier-0")
    return {
        "result": {"normal": "label__exact=NORMAL", "inconclusive": "label__exact=UNSURE"},
        "assessment": {
            "agrees": "agreement__exact=AGREE", "differs": "agreement__exact=DISAGREE",
        },
        "deletion": {"no": "hidden=no", "yes": "hidden=yes"},
        "doctor": {"of a tenth": f"doctor={doctors[0].pk}", "other": f"doctor={doctors[5].pk}"},
        "model": {"active": f"model={one.model_version_id}", "oldest": f"model={oldest.pk}"},
        "exam date": {
            "this year": f"exam_date__gte={date.today().year}-01-01",
            "past week": f"exam_date__gte={date.today() - timedelta(days=7)}",
        },
        "age": {"inside": "age_scope__exact=INSIDE", "outside": "age_scope__exact=OUTSIDE"},
        "read in": {
            "last year": f"created_at__year={when.year - 1}",
            "this month": f"created_at__year={when.year}&created_at__month={when.month}",
        },
        "search": {
            "family name": f"q={one.patient_name[0]}", "number": f"q={one.patient_number}",
        },
    }  # fmt: skip


def pairs(doctors: list[Any]) -> dict[str, str]:
    """Return the list with any two filters at once, with two values of each."""
    found = {}
    for (first, ones), (second, others) in combinations(filters(doctors).items(), 2):
        for (one, query), (other, more) in product(ones.items(), others.items()):
            found[f"{first} {one}, {second} {other}"] = f"{ADMIN}?{query}&{more}"
    return found


def supervised(doctors: list[Any], count: int) -> dict[str, str]:
    """Return the supervisors' pages."""
    from diagnosis.models import Reading
    from xraysite.common.paging import BOUND

    one = Reading.objects.order_by("-created_at")[3]
    yesterday = date.today() - timedelta(days=1)
    singly = {
        f"{name}: {value}": f"{ADMIN}?{query}"
        for name, values in filters(doctors).items()
        for value, query in values.items()
    }
    return {
        "office": "/admin/",
        "list": ADMIN,
        "list, last page": f"{ADMIN}?p={max(1, min(count, BOUND) // 25)}",
        "list, oldest first": f"{ADMIN}?o=6",
        **singly,
        "doctor: typed": f"{ADMIN}?doctor=doctor-5",
        "search: whole name": f"{ADMIN}?q={one.patient_name}",
        "search: P": f"{ADMIN}?q=P",
        "a reading": f"{ADMIN}{one.pk}/change/",
        "who saw: number": f"{WHO_SAW}?q={one.patient_number}",
        "who saw: whole name": f"{WHO_SAW}?q={one.patient_name}",
        "who saw: family name": f"{WHO_SAW}?q={one.patient_name[0]}",
        "what a person saw: a day": f"{WHO_SAW}?person={doctors[5].email}&start={yesterday}",
        "what a person saw: a month": f"{WHO_SAW}?person={doctors[5].email}",
        "audit log": AUDIT,
        "audit log: an event": f"{AUDIT}?what=list",
        "audit log: a person": f"{AUDIT}?q={doctors[5].email}",
        "audit log: an event of a person": f"{AUDIT}?what=list&q={doctors[5].email}",
        "audit log: an event of a week": f"{AUDIT}?what=film&since=7",
    } | pairs(doctors)


def own() -> dict[str, str]:
    """Return the pages of the doctor with a tenth of the readings."""
    return {
        "worklist of a tenth": "/readings/",
        "worklist, by name": "/readings/?sort=name",
        "worklist, searched": f"/readings/?q={GIVEN[0]}",
        "worklist, no match": "/readings/?q=nobody",
        "worklist, result": "/readings/?result=UNSURE",
        "worklist, result and search": f"/readings/?result=UNSURE&q={GIVEN[0]}",
        "worklist, exam this year": f"/readings/?date_from={date.today().year}-01-01",
        "overview": "/",
    }


def usual() -> dict[str, str]:
    """Return the pages of a doctor with as many readings as most."""
    return {
        "usual doctor: worklist": "/readings/",
        "usual doctor: searched": f"/readings/?q={GIVEN[0]}",
        "usual doctor: overview": "/",
    }
