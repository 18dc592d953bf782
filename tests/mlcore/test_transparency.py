"""The printable sheet of Taiwan's nine transparency indicators."""

import re

import pytest
from django.utils import translation

from mlcore.cards import transparency
from tests.mlcore.model_cards import early_card, full_card, write_bundle

pytestmark = pytest.mark.django_db
KEYS = (
    "output", "purpose", "cautions", "development", "fairness", "external-validation",
    "performance", "maintenance", "updates",
)  # fmt: skip


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def sheet_of(browser, version) -> str:
    response = browser.get(f"/models/{version.name}/transparency/")
    assert response.status_code == 200
    page: str = response.content.decode()
    return page


def test_nine_indicators_are_answered_from_the_card(active_model, as_doctor):
    page = sheet_of(as_doctor, active_model)
    assert re.findall(r'<li id="([a-z-]+)"', page) == list(KEYS)
    words = words_of(page)
    for text in (
        "1 to 5 years",
        "Below 0.509: normal",
        "Guangzhou Women and Children's Medical Center",
        "AUC 0.481 from borders alone, 0.916 with the lungs masked",
        "Official test split, half n = 318",
        "14.6%",
        active_model.bundle_sha256,
        "Person responsible at this hospital",
        "since ",
    ):
        assert text in words.replace("&#x27;", "'"), text


def test_the_models_page_links_to_it(active_model, as_doctor):
    page = as_doctor.get(active_model.get_absolute_url()).content.decode()
    assert f'href="/models/{active_model.name}/transparency/"' in page


def test_what_the_card_does_not_state_is_named(tmp_path, settings, as_doctor):
    settings.BUNDLE_DIR = tmp_path
    card = full_card(population={"age_years": [], "view": [], "sites": []})
    del card["shortcuts"], card["robustness"]
    version = write_bundle(tmp_path, card)
    words = words_of(sheet_of(as_doctor, version))
    assert "Children, age: not stated" in words
    assert "None recorded." in words
    assert "not active" in words
    assert "Shortcuts were measured" not in words


def test_an_early_card_has_a_sheet(tmp_path, settings, as_doctor):
    settings.BUNDLE_DIR = tmp_path
    version = write_bundle(tmp_path, early_card())
    assert len(re.findall(r'<li id="[a-z-]+"', sheet_of(as_doctor, version))) == 9


def test_a_model_fitted_to_a_site_names_it(tmp_path, settings, as_doctor):
    settings.BUNDLE_DIR = tmp_path
    derived = {
        "from": "pneumonia-2", "bundle_sha256": "0" * 64, "site": "大林", "date": "2026-05-06",
        "n": {"NORMAL": 70, "PNEUMONIA": 80}, "patients": 120, "folds": 5, "method": "x",
        "data_sha256": "1" * 64,
    }  # fmt: skip
    version = write_bundle(tmp_path, full_card(derived=derived))
    words = words_of(sheet_of(as_doctor, version))
    assert "Fitted to X-rays of 大林, and meant for that site only." in words
    assert "70 normal X-rays and 80 with pneumonia, of 120 patients" in words
    assert "2026-05-06" in words


def test_every_text_is_translated_when_it_is_shown(active_model):
    with translation.override("zh-hant"):
        titles = [str(entry.title) for entry in transparency.sheet(active_model)["indicators"]]
    assert len(set(titles)) == 9


def test_an_unknown_model_has_none(as_doctor):
    assert as_doctor.get("/models/nobody/transparency/").status_code == 404
