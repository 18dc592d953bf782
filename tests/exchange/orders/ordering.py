"""Orders for tests."""

import datetime
from typing import Any

from django.utils import timezone

from accounts.models import User
from exchange.orders import services
from exchange.orders.models import Order

TOMORROW = timezone.localdate() + datetime.timedelta(days=1)


def fields(**changes: Any) -> dict[str, Any]:
    """Return what a person types into the form, with `changes`."""
    return {
        "patient_number": "A123",
        "name_ideographic": "陳^威倫",
        "name_latin": "Chen, Wei-Lun",
        "name_phonetic": "ㄔㄣˊ^ㄨㄟ ㄌㄨㄣˊ",
        "birth_date": "112/5/1",
        "sex": "M",
        "procedure": "Chest X-ray",
        "body_part": "CHEST",
        "modality": "DX",
        "scheduled_date": TOMORROW.isoformat(),
        "scheduled_time": "09:30",
        "station_ae_title": "",
        "referring_doctor": "",
        "accession_number": "",
    } | changes


def make_order(by: User, **changes: Any) -> Order:
    """Return a stored order for a doctor, tomorrow at 09:30 in Taipei."""
    at = datetime.datetime.combine(TOMORROW, datetime.time(9, 30))
    values: dict[str, Any] = {
        "patient_number": "A123",
        "name_ideographic": "陳^威倫",
        "name_latin": "Chen^Wei-Lun",
        "name_phonetic": "ㄔㄣˊ^ㄨㄟ ㄌㄨㄣˊ",
        "birth_date": datetime.date(2023, 5, 1),
        "sex": "M",
        "procedure": "Chest X-ray",
        "scheduled_at": timezone.make_aware(at),
        "doctor": by,
        "team": None,
    }
    return services.enter_order(by=by, fields=values | changes)
