"""Pages tell each role what it can do, and only that."""

import re

import pytest

from accounts.models import User
from mlcore.models import ModelVersion
from tests.conftest import signed_in
from tests.factories import PASSWORD, MLStaffFactory, SupervisorFactory, UserFactory

pytestmark = pytest.mark.django_db
PATIENTS = "records of many patients"


def links(page: str) -> set[str]:
    main = page.split("<main", 1)[1].split("</main", 1)[0]
    return set(re.findall(r'href="(/[^"#]*)"', main))


@pytest.mark.parametrize("person", ["doctor", "supervisor", "ml_engineer"])
def test_every_link_of_the_home_page_opens(person, request, active_model):
    browser = signed_in(request.getfixturevalue(person))
    found = links(browser.get("/").content.decode())
    assert found
    for address in found:
        assert browser.get(address).status_code == 200, address


def test_the_home_of_ml_staff_is_about_models(as_ml_engineer, active_model):
    ModelVersion.objects.create(name="earlier", path="", bundle_sha256="0" * 64, card={})
    page = as_ml_engineer.get("/").content.decode()
    assert active_model.name in page
    assert "earlier" in page
    assert "/admin/mlcore/modelversion/" in links(page)
    for command in ("audit_dataset", "train_model", "evaluate_model", "activate_model"):
        assert command in page
    assert not {"/readings/new/", "/admin/diagnosis/reading/", "/admin/who-saw/"} & links(page)
    assert "Oversight" not in page


def test_the_home_of_supervisors_is_about_oversight(as_supervisor, active_model):
    page = as_supervisor.get("/").content.decode()
    assert {"/admin/diagnosis/reading/", "/admin/who-saw/"} <= links(page)
    assert "train_model" not in page


def test_without_a_model_ml_staff_are_told_to_activate_one(as_ml_engineer, as_supervisor):
    assert "Activate a model" in as_ml_engineer.get("/").content.decode()
    assert "Contact your system administrator" in as_supervisor.get("/").content.decode()


@pytest.mark.parametrize(
    ("factory", "sees_patients"), [(SupervisorFactory, True), (MLStaffFactory, False)]
)
def test_setting_up_a_second_factor_says_what_the_account_can_see(factory, sees_patients, client):
    user: User = factory(language="en")
    client.login(email=user.email, password=PASSWORD)
    english = {"accept-language": "en"}
    page = client.get("/accounts/second-factor/", headers=english).content.decode()
    assert (PATIENTS in page) == sees_patients
    assert ("cannot see patients" in page) != sees_patients


def test_a_superuser_has_both(active_model):
    root = UserFactory(is_staff=True, is_superuser=True)
    page = signed_in(root).get("/").content.decode()
    assert "Oversight" in page
    assert "train_model" in page
