"""What tests of decisions and of the admin's list of accounts share."""

ACTS = ["approve", "reject", "suspend", "reinstate", "role"]


def page_of(browser, user) -> str:
    return browser.get(f"/admin/accounts/user/{user.pk}/change/").content.decode()
