import pytest
from django.test import Client

from tests import board
from tests.conftest import signed_in
from tests.factories import UserFactory


@pytest.fixture
def people(doctor, supervisor, ml_engineer):
    """One user of each role with a signed-in browser, and an anonymous browser."""
    root = UserFactory(is_staff=True, is_superuser=True, display_name="Root")
    users = {"doctor": doctor, "supervisor": supervisor, "ml_engineer": ml_engineer, "root": root}
    board.reply(supervisor, board.open_case(doctor))
    browsers = {name: (user, signed_in(user)) for name, user in users.items()}
    return browsers | {None: (None, Client(headers={"accept-language": "en"}))}


@pytest.fixture
def pages_render_quickly(monkeypatch):
    """Render templates without the test client's copies of their contexts, and few time zones.

    Nothing looks at the contexts. A select of 518 time zones takes longer to render than the rest
    of the profile page.
    """
    monkeypatch.setattr(
        "django.template.base.Template._render",
        lambda template, context: template.nodelist.render(context),
    )
    zones = ("Asia/Taipei", "Europe/London")
    monkeypatch.setattr("accounts.time_zones.choices", lambda: [(zone, zone) for zone in zones])
