import pytest
from django.test import Client

from tests import board
from tests.conftest import signed_in
from tests.factories import UserFactory


@pytest.fixture
def people(doctor, supervisor, ml_engineer):
    """A signed-in browser for each kind of user, and one that is not signed in."""
    root = UserFactory(is_staff=True, is_superuser=True, display_name="Root")
    users = {"doctor": doctor, "supervisor": supervisor, "ml_engineer": ml_engineer, "root": root}
    board.reply(supervisor, board.open_case(doctor))
    browsers = {name: (user, signed_in(user)) for name, user in users.items()}
    return browsers | {None: (None, Client(headers={"accept-language": "en"}))}
