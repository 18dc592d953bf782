"""The report of a reading: one page that states what the page on the screen does."""

import datetime
import hashlib
import io
import re
import zipfile
from dataclasses import is_dataclass

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation
from pypdf import PdfReader

from accounts.models import AuditEntry
from diagnosis import storage
from diagnosis.models import Label, Reading, ReportIssue, Review, findings
from diagnosis.services import diagnoses, opinions, reports
from diagnosis.services.report_content import report_content
from tests.conftest import signed_in
from tests.factories import DoctorFactory, ReadingFactory

RARE = "𠮷"  # CJK Extension B; in Unicode, not in Big5
UNKNOWN = "\U0002b6b2"  # CJK Extension C; in none of the fonts
NAME = f"陳{RARE}堃喆 Nguyễn Thị Ánh ʉ́ <b>#x *y* $z$</b>"


def words(text: str) -> str:
    """Leave out what a line break may add."""
    return re.sub(r"\s+", "", text)


def downloaded(client: Client, reading: Reading, **choices: str) -> PdfReader:
    response = client.get(reverse("readings:report_pdf", args=[reading.pk]), choices)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/pdf"
    assert "patient" not in response.headers["Content-Disposition"].lower()
    return PdfReader(io.BytesIO(response.content))


def text_of(pdf: PdfReader) -> str:
    (page,) = pdf.pages
    assert [round(float(side)) for side in page.mediabox[2:]] == [595, 842]
    return words(page.extract_text())


def assess(reading: Reading, note: str = "", **changes: object) -> None:
    """Sign an opinion or, after that, an addendum."""
    review = Review.objects.filter(reading=reading).first()
    content = {
        "verdict": "PNEUMONIA", "confidence": "HIGH", "note": note,
        "findings": [findings.finding("consolidation", side="right"), findings.finding("device")],
    }  # fmt: skip
    opinions.record_opinion(
        doctor=reading.doctor, reading_id=reading.pk, content=opinions.Content(**content | changes),
        stage=opinions.next_stage(reading, review),
    )  # fmt: skip


def strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return strings(list(vars(value).values())) if is_dataclass(value) else []


@pytest.fixture
def told(reading) -> Reading:
    """The reading with every fact that a report can state."""
    doctor = reading.doctor
    doctor.hospital, doctor.department = "臺大醫院", "影像醫學部"
    doctor.licence_number = "醫字第 012345 號"
    doctor.save()
    entry = {
        "field": "patient_age_years", "file": "7", "form": "3", "chosen": "form",
        "reason": "檔頭有誤", "at": "2026-01-02T03:04:00+00:00",
    }  # fmt: skip
    Reading.objects.filter(pk=reading.pk).update(
        patient_name=NAME, patient_sex="F", patient_birth_date="2023-02-03", label="NORMAL",
        image_hints=["tilted"], discrepancies=[entry], header_disowned=True,
    )  # fmt: skip
    reading.refresh_from_db()
    assess(reading, "右下肺葉浸潤。\nFollow up.")
    assess(reading, "三天後改善。", verdict="NORMAL", findings=[], confidence="")
    diagnoses.confirm_diagnosis(
        by=doctor, reading_id=reading.pk, value="PNEUMONIA", source="COURSE",
        confirmed_on=datetime.date(2026, 1, 9),
    )  # fmt: skip
    return reading


@pytest.mark.parametrize(
    ("label", "language"), list(zip(Label.values, ["en", "zh-hant"] * 2, strict=True))
)
def test_the_page_and_the_pdf_state_the_same(as_doctor, told, label, language):
    reasons = ["age", "picture"] if label == "OUT_OF_SCOPE" else []
    Reading.objects.filter(pk=told.pk).update(label=label, scope_reasons=reasons)
    as_doctor.cookies["django_language"] = language
    page = as_doctor.get(reverse("readings:report", args=[told.pk]))
    reading = as_doctor.get(reverse("readings:detail", args=[told.pk]))
    pdf = text_of(downloaded(as_doctor, told, map="1"))
    content = page.context["content"]
    shown = {
        text for text in strings(content)
        if text not in (content.language, content.label, content.continued, content.unprintable,
                        content.film, content.film_missing, content.heatmap, content.record,
                        content.record_hint, content.no_assessment, content.deleted)
    }  # fmt: skip
    assert NAME in shown
    assert len(shown) > 30
    for text in shown:
        assert words(text) in pdf, text
    for response in (page, reading):
        html = response.content.decode()
        assert html.count('<article class="report') == 1
        assert "&lt;b&gt;#x *y* $z$&lt;/b&gt;" in html
    legend = content.legend is not None
    assert legend == (label != "OUT_OF_SCOPE")


def test_the_pdf_is_tagged_has_its_fonts_and_a_code_for_the_record(as_doctor, reading):
    pdf = downloaded(as_doctor, reading)
    catalogue = pdf.trailer["/Root"]
    assert catalogue["/MarkInfo"]["/Marked"]
    assert "pdfuaid" in pdf.xmp_metadata.stream.get_data().decode()
    fonts = [font.get_object() for font in pdf.pages[0]["/Resources"]["/Font"].values()]
    assert fonts
    for font in fonts:
        descriptor = font["/DescendantFonts"][0].get_object()["/FontDescriptor"]
        assert {"/FontFile2", "/FontFile3"} & set(descriptor)
    assert b"/DCTDecode" in pdf.stream.getvalue(), "the film as it is stored"
    assert NAME not in str(pdf.metadata)


def test_both_languages_are_on_one_page(as_doctor, told):
    text = text_of(downloaded(as_doctor, told, lang="both", map="1"))
    for language in ("en", "zh-hant"):
        with translation.override(language):
            content = report_content(told, with_map=True)
        assert words(content.figures.rule) in text
        assert words(content.result_lines[0]) in text
    assert text.count(words("右下肺葉浸潤。")) == 1, "the note has one language"


def test_characters_that_cannot_be_printed_are_marked(as_doctor, reading):
    Reading.objects.filter(pk=reading.pk).update(patient_name=f"陳{UNKNOWN}\u202e文\ue123")
    text = text_of(downloaded(as_doctor, reading))
    assert "陳[U+2B6B2][U+202E]文[U+E123]" in text
    assert words("[U+…] stands for a character that this document cannot print") in text


def test_later_copies_say_that_they_are_reprints(as_doctor, as_supervisor, supervisor, reading):
    first = text_of(downloaded(as_doctor, reading))
    assert "Reprint" not in first
    assert words(f"to {reading.doctor.display_name}") in first
    response = as_supervisor.get(reverse("readings:report_pdf", args=[reading.pk]))
    second = text_of(PdfReader(io.BytesIO(response.content)))
    assert words("Reprint no. 2, first issued on") in second
    latest, earlier = ReportIssue.objects.all()
    assert (earlier.number, earlier.issued_by) == (1, reading.doctor)
    assert (latest.number, latest.issued_by) == (2, supervisor)
    assert latest.sha256 == hashlib.sha256(response.content).hexdigest()
    entry = AuditEntry.objects.filter(what="report-issued").latest("pk")
    assert entry.actor == supervisor
    assert entry.additional_data == {"copy": 2, "sha256": latest.sha256}
    page = as_doctor.get(reverse("readings:report", args=[reading.pk])).content.decode()
    assert latest.sha256[:16] in page


@pytest.mark.parametrize("language", ["zh-hant", "both"])
def test_everything_fits_on_one_page_or_is_said_to_go_on(as_doctor, reading, language):
    entry = {
        "field": "patient_name", "file": "名" * 120, "form": "W" * 120, "chosen": "form",
        "reason": "理由" * 100, "at": "2026-01-02T03:04:00+00:00",
    }  # fmt: skip
    Reading.objects.filter(pk=reading.pk).update(
        patient_name="陳" * 120, patient_number="9" * 64, label="UNSURE", discrepancies=[entry] * 7,
        header_disowned=True, film_width=500, film_height=900,
        image_hints=["cut_off", "too_small", "tilted", "overexposed", "underexposed"],
    )  # fmt: skip
    reading.refresh_from_db()
    for _ in range(4):
        assess(reading, "右肺下葉浸潤，建議追蹤" * 180)
    text = text_of(downloaded(as_doctor, reading, lang=language, map="1"))
    assert "陳" * 120 in text
    with translation.override("zh-hant"):
        content = report_content(reading, with_map=True)
    assert words(content.continued) in text
    for line in (*content.signer, content.notes[-1], content.legend.lines[0]):
        assert words(line) in text


def test_a_lost_film_is_stated_on_the_page(as_doctor, reading):
    for name in ("original", "rendering"):
        storage.remove([f"{name}/{reading.film_sha256[:2]}/{reading.film_sha256}{end}"
                        for end in ("", "-1600.jpg", "-160.jpg")])  # fmt: skip
    text = text_of(downloaded(as_doctor, reading, map="1"))
    assert words("The X-ray is missing from the server's storage.") in text


def test_the_same_copy_has_the_same_bytes(reading):
    issue = ReportIssue(reading=reading, issued_by=reading.doctor, number=1, language="en")
    pictures = reports._pictures(reading, with_map=True)
    contents = [reports._in_language("en", reading, with_map=True)]
    files = {
        reports.rendered(contents, pictures, issue, first_issued=None, url="https://x.org/1")
        for _ in range(2)
    }
    assert len(files) == 1


def test_many_reports_come_as_a_zip(as_doctor, told, doctor):
    second = ReadingFactory(doctor=doctor)
    foreign = ReadingFactory(doctor=DoctorFactory())
    chosen = {"reading": [told.pk, second.pk, foreign.pk], "lang": "en"}
    response = as_doctor.post(reverse("readings:reports"), chosen)
    assert response.headers["Content-Type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))
    names = archive.namelist()
    assert sorted(names) == sorted(
        [f"report-20260102-{str(each.pk)[:8]}.pdf" for each in (told, second)] + ["missing.txt"]
    )
    assert str(foreign.pk)[:8] in archive.read("missing.txt").decode()
    for issue in ReportIssue.objects.all():
        name = f"report-20260102-{str(issue.reading_id)[:8]}.pdf"
        assert hashlib.sha256(archive.read(name)).hexdigest() == issue.sha256
    assert ReportIssue.objects.count() == 2
    entries = AuditEntry.objects.filter(what="report-issued")
    assert [(each.actor, each.remote_addr) for each in entries] == [(doctor, "127.0.0.1")] * 2


def test_a_zip_of_nothing_or_of_too_many_is_refused(as_doctor, reading):
    for keys in ([], ["x"], [str(reading.pk)] + [str(n) for n in range(200)]):
        response = as_doctor.post(reverse("readings:reports"), {"reading": keys}, follow=True)
        assert response.redirect_chain == [(reverse("readings:list"), 302)]
        assert "reports" in response.content.decode()
    assert not ReportIssue.objects.exists()


def test_no_report_before_the_doctors_own_opinion(as_doctor, told):
    Reading.objects.filter(pk=told.pk).update(blind_first=True, withheld=True)
    told.refresh_from_db()
    for name in ("report", "report_pdf"):
        response = as_doctor.get(reverse(f"readings:{name}", args=[told.pk]))
        assert response.status_code == 302
        assert response.headers["Location"] == told.get_absolute_url()
    page = as_doctor.get(told.get_absolute_url()).content.decode()
    assert '<article class="report' not in page
    response = as_doctor.post(reverse("readings:reports"), {"reading": told.pk})
    assert response.status_code == 302
    with pytest.raises(reports.WithheldError):
        reports.issue_report(
            reading=told, user=told.doctor, language="en", with_map=False, url="https://x.org"
        )
    assert not ReportIssue.objects.exists()


def test_reports_of_others_do_not_exist(reading, other_doctor):
    client = signed_in(other_doctor)
    assert client.get(reverse("readings:report_pdf", args=[reading.pk])).status_code == 404
    assert not ReportIssue.objects.exists()
    assert AuditEntry.objects.filter(what="access-denied").exists()
