"""NUL characters and impossible values in URLs and forms cause no server error."""

import pytest
from django.http import QueryDict

from forum.models import Draft
from tests.conftest import signed_in
from tests.factories import UserFactory
from xraysite.common.null_characters import without_null_characters

ADMIN_LISTS = [
    "/admin/accounts/user/",
    "/admin/accounts/auditentry/",
    "/admin/diagnosis/reading/",
    "/admin/mlcore/modelversion/",
    "/admin/forum/category/",
    "/admin/forum/report/",
]
FILTERS = ["q", "what", "state", "label__exact", "hidden", "doctor"]
# The list of readings refuses unknown filters; other lists ignore them.
NOT_OFFERED_BY_READINGS = {"what", "state"}


def test_data_without_null_characters_is_returned_unchanged():
    data = QueryDict("a=1&a=2")
    assert without_null_characters(data) is data


def test_null_characters_are_removed_from_names_and_values():
    cleaned = without_null_characters(QueryDict("a%00b=x%00y&a%00b=z&c="))
    assert dict(cleaned.lists()) == {"ab": ["xy", "z"], "c": [""]}
    with pytest.raises(AttributeError, match="immutable"):
        cleaned["d"] = "1"


@pytest.fixture
def as_root(db):
    return signed_in(UserFactory(is_staff=True, is_superuser=True))


@pytest.mark.parametrize("path", ["/models/%00/", "/readings/%00/", "/admin/%00/"])
def test_a_path_with_a_null_character_is_not_found(as_supervisor, path):
    assert as_supervisor.get(path).status_code == 404


def test_admin_lists_accept_filters_with_null_characters(as_root):
    for path in ADMIN_LISTS:
        for name in FILTERS:
            refused = path == "/admin/diagnosis/reading/" and name in NOT_OFFERED_BY_READINGS
            response = as_root.get(path, {name: "a\x00b"}, follow=True)
            assert response.status_code == (400 if refused else 200), (path, name)


def test_a_draft_is_saved_without_null_characters(as_doctor, doctor):
    response = as_doctor.post("/forum/draft/", {"title": "a\x00b", "body": "c\x00d"})
    assert response.status_code == 200
    draft = Draft.objects.get(user=doctor)
    assert (draft.title, draft.body) == ("ab", "cd")


def test_impossible_values_in_admin_addresses_are_not_found(as_root):
    statuses = {
        path: as_root.get(path).status_code
        for path in (
            "/admin/r/1/x/",
            "/admin/r/99999999999999999999/x/",
            "/admin/accounts/user/?date_joined__year=99999999999999999999",
            "/admin/diagnosis/reading/?created_at__year=99999999999999999999",
        )
    }
    assert statuses == dict.fromkeys(statuses, 404)
