"""Fixtures of the tests of accounts."""

import pytest

from tests.factories import UserFactory


@pytest.fixture
def root():
    return UserFactory(is_staff=True, is_superuser=True, display_name="Root")
