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
def contexts_are_not_kept(monkeypatch):
    """Keep the test client from copying the context of each template.

    On a page with many options, copying takes as long as rendering.
    """
    monkeypatch.setattr("django.test.client.store_rendered_templates", lambda *args, **more: None)
