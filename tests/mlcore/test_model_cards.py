"""A model's card as a doctor reads it: every figure that the card has, and none that it has not."""

import re

import pytest
from django.test import Client

from mlcore import registry
from mlcore.cards import presentation
from mlcore.models import ModelVersion
from mlcore.templatetags import card_values as filters
from tests.conftest import signed_in
from tests.mlcore.full_cards import EARLY, failures, full_card, roc_points

pytestmark = pytest.mark.django_db

OLD = {"use", "data", "figures", "groups", "threshold", "calibration", "scope", "made"}
NEW = {"answers", "shortcuts", "robustness", "failures"}


@pytest.fixture
def full_model(active_model) -> ModelVersion:
    """A registered model whose card holds everything; there is no bundle behind it."""
    return ModelVersion.objects.create(
        name="pneumonia-9", bundle_sha256="ab" * 32, path="pneumonia-9", card=full_card()
    )


def page_of(browser: Client, version: ModelVersion) -> str:
    response = browser.get(f"/models/{version.name}/")
    assert response.status_code == 200
    return response.content.decode()


def text_of(page: str) -> str:
    """What is read of a page, its markup left out."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def sections_of(page: str) -> set[str]:
    return set(re.findall(r'<section class="panel card-section"\s+id="(\w+)"', page))


def test_the_list_leads_to_each_card_with_its_main_figures(active_model, full_model, as_doctor):
    page = as_doctor.get("/models/").content.decode()
    for version in (active_model, full_model):
        assert f'href="/models/{version.name}/"' in page
    assert text_of(page).count(" active ") == 1
    held_out = active_model.card["metrics"]["test"]
    assert f"{held_out['auc']:.3f}" in page
    assert f"{held_out['sensitivity_ci'][0]:.3f}–{held_out['sensitivity_ci'][1]:.3f}" in page


def test_a_model_set_aside_is_not_listed_but_its_card_can_be_read(active_model, as_doctor):
    ModelVersion.objects.update(set_aside_reason="model.tflite is not the file of /srv/bundles")
    assert "No model yet" in as_doctor.get("/models/").content.decode()
    page = page_of(as_doctor, active_model)
    assert "it was set aside" in page
    assert "/srv/bundles" not in page


def test_an_early_card_shows_no_section_without_figures(as_doctor):
    early = registry.register(registry.folder_of(EARLY))
    page = page_of(as_doctor, early)
    assert sections_of(page) == OLD
    assert "data-trade" not in page
    assert "data-copy" not in page
    for name in OLD:
        assert f'href="#{name}"' in page
    assert early.bundle_sha256 in page


def test_a_full_card_shows_everything(full_model, as_doctor):
    page = page_of(as_doctor, full_model)
    text = text_of(page)
    assert sections_of(page) == OLD | NEW
    for shown in (
        "at least 97% of the sick",
        "Below 0.341 it answers normal, from 0.841 on pneumonia",
        "Adults&#x27; films, held out (should be refused) 300 0.953 0.943–0.963",
        "Lungs covered",
        "0.812 0.792–0.822",
        "74% of the heatmap",
        "which take 31% of the picture",
        "Compressed (JPEG) 1 0.980",
        "moire pattern",
        "Viral pneumonia Sensitivity 142 0.937",
        "Normal films, numbering series IM Specificity 60",
        "Networks averaged 5",
        "keras 3.15.1",
    ):
        assert shown in text, shown
    for name in ("roc.png", "reliability.png", "confusion.png", "curves.png"):
        assert page.count(f'src="/models/pneumonia-9/plots/{name}"') == 1


def test_each_command_stands_in_the_section_of_its_figures(full_model, as_doctor):
    page = page_of(as_doctor, full_model)
    for name, command in (
        ("figures", "evaluate"), ("shortcuts", "probe"), ("made", "train"), ("robustness", None),
    ):  # fmt: skip
        part = page[page.index(f'id="{name}"') :].split("</section>")[0]
        if command:
            assert full_model.card["commands"][command] in part
        else:
            assert "<code" not in part, "the card names no command for it"


def test_failures_are_told_in_words_the_missed_ones_first(full_model, as_doctor):
    page = page_of(as_doctor, full_model)
    text = text_of(page[page.index('id="failures"') :])
    missed = text.index("Missed: pneumonia called normal (2)")
    assert missed < text.index("False alarms: normal called pneumonia (2)")
    assert (
        "0.041 Viral pneumonia Map strongest in the middle of the picture. "
        "Beside the other films: bright edge." in text
    )
    assert "0.512 Bacterial pneumonia Beside the other films: dark edge." in text
    assert len(failures()) == page.count('<li class="failure ')


def test_a_model_without_a_failure_says_what_that_means(full_model, as_doctor):
    full_model.card["failures"] = []
    full_model.save()
    assert "called every held-out film rightly" in page_of(as_doctor, full_model)


def test_the_page_is_in_chinese_for_a_chinese_reader(full_model, doctor):
    client = Client(headers={"accept-language": "zh-hant"})
    client.force_login(doctor)
    text = text_of(page_of(client, full_model))
    for shown in (
        "漏判：肺炎判為正常",
        "熱區圖在畫面中央最強",
        "邊緣偏亮",
        "遮住肺野",
        "每 1000 名兒童中",
    ):
        assert shown in text
    assert "Beside the other films" not in text


def test_without_a_script_a_table_shows_the_trade(full_model, as_doctor):
    page = page_of(as_doctor, full_model)
    slider = page[page.index('class="trade"') :].split("</div>")[0]
    assert re.search(r"\bhidden>", slider), "the slider waits for its script"
    table = text_of(page[page.index("data-trade-table") :].split("</table>")[0])
    # 0.682 is the shipped threshold: of 200 sick 4 are missed, of 800 healthy 18 alarmed.
    assert "0.682 shipped 0.982 0.978 4 18" in table


def test_the_slider_goes_over_every_cut_and_starts_at_the_shipped_one(full_model):
    trade = presentation.trade(full_model.card)
    assert trade is not None
    cuts = [point.cut for point in trade["points"]]
    assert cuts == sorted(cuts)
    assert len(cuts) == len(roc_points()["probability"]) + 1
    shipped = trade["points"][trade["shipped_place"]]
    assert shipped.cut == full_model.card["threshold"]["value"]
    assert shipped.sensitivity == full_model.card["metrics"]["validation"]["sensitivity"]
    assert trade["data"].count(";") == trade["last_place"]
    assert 0 < trade["shipped_x"] < 100


def test_the_shipped_cut_is_not_shown_twice():
    card = full_card()
    value = card["threshold"]["value"]
    card["roc_validation"]["probability"][20] = round(value, 6)
    trade = presentation.trade(card)
    assert trade is not None
    assert len(trade["points"]) == len(card["roc_validation"]["probability"])


def test_a_poor_model_has_its_whole_curve_drawn():
    card = full_card()
    card["metrics"]["validation"] |= {"sensitivity": 0.6, "specificity": 0.9}
    trade = presentation.trade(card)
    assert trade is not None
    assert trade["extent"] == 1


def test_pages_hold_no_inline_script_or_style(full_model, as_doctor):
    page = page_of(as_doctor, full_model) + as_doctor.get("/models/").content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)


def test_what_a_card_says_is_escaped(full_model, as_doctor):
    full_model.card["commands"]["evaluate"] = '"><script>alert(1)</script>'
    full_model.card["population"]["source"] = "<b>bold</b>"
    full_model.save()
    page = page_of(as_doctor, full_model)
    assert "<script>alert" not in page
    assert "<b>bold" not in page


@pytest.mark.parametrize("name", ["no-such-model", "../etc", "pneumonia-9/"])
def test_a_model_that_is_not_there_is_not_found(name, full_model, as_doctor):
    assert as_doctor.get(f"/models/{name}/").status_code == 404


def test_staff_of_the_admin_get_a_link_to_it_and_doctors_none(
    full_model, as_doctor, as_supervisor, ml_engineer
):
    link = f"/admin/mlcore/modelversion/{full_model.pk}/change/"
    assert link not in page_of(as_doctor, full_model)
    assert link in page_of(as_supervisor, full_model)
    assert link in page_of(signed_in(ml_engineer), full_model)


def test_figures_that_a_card_lacks_are_dashes(active_model, as_doctor):
    active_model.card["metrics"]["test"] |= {"auc": None, "auc_ci": [None, None]}
    active_model.save()
    assert "AUC –" in text_of(as_doctor.get("/models/").content.decode())


def test_how_figures_are_written():
    assert filters.figure(0.98765) == "0.988"
    assert filters.figure(float("nan")) == filters.figure(None) == "–"
    assert filters.interval([0.1, None]) == filters.interval(None) == ""
    assert filters.signed(-0.0125) == "−0.013"
    assert filters.p_value(0.0004) == "< 0.001"
    assert filters.duration(5400) == "1 h 30 min"
    assert filters.duration(20) == "20 s"
    assert filters.flat({"a": {"b": 1}, "c": 2}) == [("a.b", 1), ("c", 2)]
