"""Blind-first: until the doctor's first opinion, no response tells what the model said."""

import re
import uuid

import pytest
from django.urls import reverse

from accounts.models import User
from accounts.tokens.models import SCOPES
from accounts.tokens.services import make_token
from diagnosis import blind
from diagnosis.models import ItemState, Reading, Team, TeamMembership
from diagnosis.models.blinding import SealedReadingError
from mlcore import inference
from tests import batches
from tests.conftest import patient_details, signed_in, upload_of
from tests.factories import ReadingFactory
from tests.site_urls import address_of, named_patterns

pytestmark = pytest.mark.django_db

# Answers that share nothing: if a response depends on any of it, two of these differ.
ANSWERS = {
    "normal": {"label": "NORMAL", "probabilities": {"NORMAL": 0.98, "PNEUMONIA": 0.02}},
    "pneumonia": {
        "label": "PNEUMONIA",
        "probabilities": {"NORMAL": 0.001, "PNEUMONIA": 0.999},
        "probability_shown": ">0.9987",
        "activation_map": inference.encode_activation_map([[1.0, 1.0], [0.9, 0.8]]),
        "image_hints": ["tilted", "overexposed"],
        "inference_ms": 912.3,
    },
    "unsure": {
        "label": "UNSURE",
        "probabilities": {"NORMAL": 0.4, "PNEUMONIA": 0.6},
        "normal_below": 0.3123,
        "pneumonia_from": 0.8123,
    },
    "refused": {
        "label": "OUT_OF_SCOPE",
        "scope_score": 99.5,
        "scope_threshold": 3.25,
        "scope_reasons": ["picture"],
        "scope_resembles": "adult",
        "age_scope": "OUTSIDE",
    },
}
FILTERS = (
    "result=PNEUMONIA", "result=NORMAL", "result=OUT_OF_SCOPE", "own=differs", "own=none", "q=Lin",
    "sort=probability", "sort=-result", "order=triage", "sort=result&page=1",
)  # fmt: skip
# Tokens that differ from one response to the next.
CHANGING = re.compile(
    rb'seconds.left["=: ]+\d+|\b[0-9A-Za-z]{64}\b|\b[0-9a-f]{32}\b|nonce-[\w+/=-]+|'
    rb"\d{4}-\d\d-\d\dT[\d:.]+\+00:00|"
    rb'(?<=name="submission" value=")[^"]+|(?<=name="list" value=")[\w-]{12}|'
    rb'(?<=data-key=")[\w-]{12}|(?<=list=)[\w-]{12}'
)
VARYING = {"Content-Security-Policy", "Expires"}
# About a withheld reading of the doctor, these say that it is not there.
NOT_FOUND = {"readings:heatmap", "readings:share", "readings:withdraw"}
NOT_ABOUT_READINGS = (
    "admin:", "mfa_", "account_", "forum:", "models:", "usersessions", "set_", "manifest",
    "offline", "service_worker",
)  # fmt: skip


@pytest.fixture
def blind_doctor(doctor: User) -> User:
    doctor.blind_first = True
    doctor.save()
    return doctor


@pytest.fixture
def withheld(reading: Reading, blind_doctor: User) -> Reading:
    """A reading with a film, made blind-first."""
    others = [ReadingFactory(doctor=blind_doctor, label=label) for label in ("NORMAL", "PNEUMONIA")]
    assert not any(other.withheld for other in others)
    Reading.objects.filter(pk=reading.pk).update(
        blind_first=True, withheld=True, answer_shown_at=None
    )
    reading.refresh_from_db()
    item = batches.file_that_needs_data(blind_doctor)
    item.reading, item.state = reading, ItemState.DONE
    item.save()
    return reading


def every_address(reading: Reading) -> list[str]:
    """Return every URL of the site outside the admin that may be about readings."""
    names = {name for name, _ in named_patterns() if not name.startswith(NOT_ABOUT_READINGS)}
    names -= {"accounts:avatar", "metrics", "readings:batch_rows", "patients:detail"}
    pages = [address_of(name, reading) for name in sorted(names)]
    pages.append(reverse("patients:detail", args=[reading.study.patient_id]))
    pages.append(f"{address_of('readings:batch_rows', reading)}?after=2026-01-01T00:00:00Z")
    films = [
        f"{address_of('readings:film', reading)}?size={size}" for size in ("thumb", "original")
    ]
    return [*pages, *films, *(f"{reverse('readings:list')}?{query}" for query in FILTERS)]


def everything_sent(browser, reading: Reading) -> dict[str, tuple[object, ...]]:
    """Return status, headers and body of each GET, as a page and as an htmx fragment."""
    sent = {}
    asked = [(browser.get, address) for address in every_address(reading)]
    asked.append((browser.post, address_of("readings:other_films", reading)))
    for ask, address in asked:
        for headers in ({}, {"HX-Request": "true"}):
            response = ask(address, headers=headers)
            body = b"".join(response) if response.streaming else response.content
            kept = {k: v for k, v in response.headers.items() if k not in VARYING}
            stable = [CHANGING.sub(b"", part) for part in (body, repr(kept).encode())]
            sent[f"{ask.__name__} {address} {headers}"] = (response.status_code, *stable)
            if response.status_code == 200 and b"Patient" in body:
                assert "no-store" in response.headers["Cache-Control"]
    return sent


def test_no_response_depends_on_a_withheld_answer(withheld, blind_doctor, monkeypatch):
    # Or the time of a token's last use changes when the test takes more than a minute.
    monkeypatch.setattr("accounts.tokens.services.USE_WRITTEN_S", 3600)
    browser = signed_in(blind_doctor)
    # For the addresses of programs, where the session counts for nothing.
    _row, token = make_token(owner=blind_doctor, name="program", scopes=SCOPES, days=1)
    browser.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    before: dict[str, tuple[object, ...]] = {}
    everything_sent(browser, withheld)  # marks the reading as opened
    for answer in ANSWERS.values():
        Reading.objects.filter(pk=withheld.pk).update(**answer)
        sent = everything_sent(browser, withheld)
        assert not [address for address in before if sent[address] != before[address]]
        before = sent
    assert len(before) > 40
    for name in NOT_FOUND:
        assert browser.get(address_of(name, withheld)).status_code == 404
    # The comparison has teeth: once the answer is shown, the same pages differ.
    Reading.objects.filter(pk=withheld.pk).update(withheld=False, **ANSWERS["normal"])
    shown = everything_sent(browser, withheld)
    told = [address for address, response in shown.items() if response != before[address]]
    for page in ("detail", "heatmap", "report", "share"):
        assert any(f"get {address_of(f'readings:{page}', withheld)}" in address for address in told)
    assert any("?result=NORMAL" in address for address in told)


def test_the_answer_comes_with_the_first_opinion(
    lenient_model, blind_doctor, film_bytes, as_supervisor
):
    browser = signed_in(blind_doctor)
    sent = patient_details(
        film=upload_of(film_bytes), submission="0f0f0f0f-1111-4222-8333-444455556666"
    )
    page = browser.post(reverse("readings:new"), sent, follow=True)
    stored = Reading.objects.get()
    assert stored.withheld
    assert blind.withheld_from(stored, blind_doctor)
    assert stored.probability_text not in page.content.decode()
    assert "is sent to you once you have recorded what you see" in page.content.decode()
    # The supervisor's record is not blinded.
    record = as_supervisor.get(reverse("admin:diagnosis_reading_change", args=[stored.pk]))
    assert stored.probability_text in record.content.decode()
    # A change of the setting reveals nothing, nor does the same film again.
    blind_doctor.blind_first = False
    blind_doctor.save()
    detail = reverse("readings:detail", args=[stored.pk])
    assert stored.probability_text not in browser.get(detail).content.decode()
    browser.post(reverse("readings:delete", args=[stored.pk]), {"reason": "MISTAKE"})
    again = patient_details(
        film=upload_of(film_bytes), submission="0f0f0f0f-1111-4222-8333-444455557777"
    )
    page = browser.post(reverse("readings:new"), again, follow=True)
    assert stored.probability_text not in page.content.decode()
    second = Reading.objects.own_of(blind_doctor).get()
    page = browser.post(
        reverse("readings:review", args=[second.pk]), {"verdict": "NORMAL"}, follow=True
    )
    assert stored.probability_text in page.content.decode()
    second.refresh_from_db()
    assert second.blind_first
    assert second.answer_shown_at is not None
    assert not second.withheld


def test_a_team_requires_it_of_its_members(lenient_model, doctor, as_doctor, film_bytes):
    team = Team.objects.create(name="Night", blind_first=True)
    assert not blind.reads_blind(doctor)
    TeamMembership.objects.create(team=team, user=doctor)
    sent = patient_details(film=upload_of(film_bytes), submission=uuid.uuid4(), team="")
    page = as_doctor.post(reverse("readings:new"), sent, follow=True).content.decode()
    assert "sent to you once you have recorded" in page
    assert Reading.objects.get().withheld


def test_a_sealed_reading_cannot_be_saved_nor_read_as_values(withheld, blind_doctor):
    readings = Reading.objects.own_of(blind_doctor).with_withheld(blind_doctor)
    sealed = readings.get(pk=withheld.pk)
    assert (sealed.label, sealed.probability_text, sealed.has_result) == ("", "", False)
    with pytest.raises(SealedReadingError):
        sealed.save()
    with pytest.raises(TypeError, match="answered"):
        list(readings.values_list("label"))
    assert withheld not in readings.answered(blind_doctor)
    assert list(readings.withheld_from(blind_doctor)) == [withheld]
