"""The permission matrix: every URL × every role, for GET and POST.

Each cell has one expected answer: a status or, for a redirect, the name of the URL it leads to. A
redirect to the sign-in page is thus distinct from one after a change.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import Resolver404, resolve, reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from accounts import avatars
from accounts.tokens.services import make_token
from diagnosis import retention
from diagnosis.models import Patient, Reading, Team
from diagnosis.services import patient_moves, sharing, shelves
from exchange.outgoing.models import Delivery, Target
from forum import moderation, services
from mlcore import gates
from mlcore.models import ModelVersion
from tests import board
from tests.conftest import patient_details, signed_in, upload_of
from tests.exchange import incoming_pages
from tests.exchange.orders import ordering
from tests.factories import DoctorFactory, ReadingFactory, UserFactory
from tests.site_urls import address_of, admin_address, named_patterns

PEOPLE = ("anonymous", "doctor", "other_doctor", "supervisor", "ml_engineer")
Answer = int | str

LOGIN = "account_login"
ADMIN_LOGIN = "admin:login"
CONFIRM = "account_reauthenticate"


class Row(NamedTuple):
    """The expected answer for each of PEOPLE to a GET and, if tested, to a POST."""

    get: tuple[Answer, ...]
    post: tuple[Answer, ...] | None = None


def signed_in_answers(answer: Answer) -> tuple[Answer, ...]:
    return (LOGIN, *[answer] * 4)


EVERYBODY = Row((200,) * 5)
NO_SESSION = Row((401,) * 5)
SIGNED_IN = Row(signed_in_answers(200))
OWN_OR_OVERSEEN = Row((LOGIN, 200, 404, 200, 404))
DOCTORS = Row((LOGIN, 200, 200, 403, 403))
OWN = Row((LOGIN, 200, 404, 404, 404))
ORDERED = (LOGIN, "orders:detail", 404, "orders:detail", 404)
GUESTS = Row((200, "home", "home", "home", "home"))  # pages for anonymous users
# Programs with a token; sessions open nothing. `tests.exchange` has a matrix of tokens.
PROGRAMS = Row((401,) * 5, (401,) * 5)
# Changes of two-factor authentication ask for the password first.
CONFIRMED = Row(signed_in_answers(CONFIRM), signed_in_answers(CONFIRM))

MATRIX: dict[str, Row] = {
    "home": EVERYBODY,
    "about": EVERYBODY,
    "api_page": EVERYBODY,
    "favicon": Row(("/static/img/favicon.svg",) * 5),
    "healthz": EVERYBODY,
    "manifest": EVERYBODY,
    "offline": EVERYBODY,
    "service_worker": EVERYBODY,
    "readyz": EVERYBODY,
    "metrics": Row((404,) * 5),
    "set_language": Row(("home",) * 5, ("home",) * 5),
    "accounts:profile": Row(SIGNED_IN.get, signed_in_answers("accounts:profile")),
    "accounts:status": Row(signed_in_answers("home")),  # an approved account has no status page
    "accounts:picture": Row(signed_in_answers(405), signed_in_answers("accounts:profile")),
    "accounts:avatar": SIGNED_IN,
    "accounts:end_session": Row(
        signed_in_answers(405), (LOGIN, "usersessions_list", 404, 404, 404)
    ),
    "accounts:second_factor": Row((LOGIN, "mfa_index", "mfa_index", "home", "home")),
    "accounts:tokens": SIGNED_IN,
    "accounts:new_token": CONFIRMED,
    "accounts:revoke_token": Row(OWN.get, (LOGIN, "accounts:tokens", 404, 404, 404)),
    "accounts:session": EVERYBODY,
    "accounts:stay": Row(signed_in_answers(405), signed_in_answers(200)),
    "usersessions_list": Row(SIGNED_IN.get, signed_in_answers("usersessions_list")),
    # For programs with a token; a session opens nothing, see tests/exchange/fhir.
    "fhir:metadata": EVERYBODY,
    "fhir:read": NO_SESSION,
    "fhir:search": NO_SESSION,
    "fhir:post_search": Row((405,) * 5, (401,) * 5),
    "fhir:document": NO_SESSION,
    **{
        f"dicomweb:{name}": PROGRAMS
        for name in (
            "studies",
            "series",
            "instances",
            "study",
            "study_series",
            "study_instances",
            "series_instances",
            "one_series",
            "instance",
            "study_metadata",
            "series_metadata",
            "instance_metadata",
            "study_rendered",
            "series_rendered",
            "instance_rendered",
            "study_thumbnail",
            "series_thumbnail",
            "instance_thumbnail",
            "frames",
            "frames_rendered",
            "frames_thumbnail",
            "bulkdata",
        )
    },
    "readings:list": DOCTORS,
    "readings:changes": DOCTORS,
    "readings:bulk": Row((LOGIN, 405, 405, 403, 403), (LOGIN, *["readings:list"] * 2, 403, 403)),
    "readings:bulk_undo": Row(
        (LOGIN, 405, 405, 403, 403), (LOGIN, *["readings:list"] * 2, 403, 403)
    ),
    "readings:tags": Row(DOCTORS.get, (LOGIN, *["readings:tags"] * 2, 403, 403)),
    "readings:tag": Row((LOGIN, 405, 405, 403, 403), (LOGIN, "readings:tags", 404, 403, 403)),
    "readings:views": Row(DOCTORS.get, (LOGIN, *["readings:list"] * 2, 403, 403)),
    "readings:view": Row(
        (LOGIN, "readings:list", 404, 403, 403), (LOGIN, "readings:views", 404, 403, 403)
    ),
    "readings:step": Row((LOGIN, "readings:list", 404, 404, 404)),
    "readings:statistics": DOCTORS,
    "readings:teams": Row(DOCTORS.get, (LOGIN, *["readings:teams"] * 2, 403, 403)),
    # The doctor has a reading of the same X-ray and is asked about it.
    "readings:new": Row(DOCTORS.get, (LOGIN, "readings:check", "readings:detail", 403, 403)),
    # Nothing waits for a decision: it leads to the doctor's own reading of this id, or to the form.
    "readings:check": Row(*[(LOGIN, "readings:detail", "readings:new", 403, 403)] * 2),
    "readings:waiting": DOCTORS,
    "readings:offline_key": DOCTORS,
    "readings:offline_open": Row((LOGIN, 405, 405, 403, 403), (LOGIN, 400, 400, 403, 403)),
    "readings:inspect": Row((LOGIN, 405, 405, 403, 403), (LOGIN, 200, 200, 403, 403)),
    "readings:batches": DOCTORS,
    "readings:new_batch": Row(
        DOCTORS.get, (LOGIN, "readings:new_batch", "readings:new_batch", 403, 403)
    ),
    "readings:inbox": DOCTORS,
    "readings:batch_patients": Row(
        (LOGIN, 405, 405, 403, 403), (LOGIN, "readings:inbox", "readings:inbox", 403, 403)
    ),
    "readings:batch_template": DOCTORS,
    "readings:batch": OWN,
    "readings:batch_film": OWN,
    "readings:batch_rows": OWN,
    "readings:batch_known": OWN,
    "readings:batch_table": OWN,
    "readings:batch_files": Row(
        (LOGIN, 405, 405, 404, 404), (LOGIN, "readings:batch", 404, 404, 404)
    ),
    "readings:batch_finish": Row((LOGIN, 405, 405, 404, 404), (LOGIN, 200, 404, 404, 404)),
    "readings:batch_retry": Row(
        (LOGIN, 405, 405, 404, 404), (LOGIN, "readings:batch", 404, 404, 404)
    ),
    "readings:batch_cancel": Row(OWN.get, (LOGIN, "readings:batch", 404, 404, 404)),
    "readings:batch_item": Row(
        (LOGIN, 405, 405, 404, 404), (LOGIN, "readings:inbox", 404, 404, 404)
    ),
    "readings:detail": OWN_OR_OVERSEEN,
    "readings:report": OWN_OR_OVERSEEN,
    "readings:report_pdf": OWN_OR_OVERSEEN,
    "readings:reports": Row((LOGIN, 405, 405, 405, 403), (LOGIN, 200, "readings:list", 200, 403)),
    "readings:film": OWN_OR_OVERSEEN,
    "readings:heatmap": OWN_OR_OVERSEEN,
    "readings:pixels": OWN_OR_OVERSEEN,
    # Found, but the model of the tests reads whole X-rays and marks no lungs.
    "readings:lungs": Row((LOGIN, 409, 404, 409, 404)),
    "readings:other_films": Row(signed_in_answers(405), OWN_OR_OVERSEEN.get),
    "readings:edit": Row(OWN.get, (LOGIN, "readings:detail", 404, 404, 404)),
    "readings:delete": Row(OWN.get, (LOGIN, "readings:list", 404, 404, 404)),
    "readings:undelete": Row(
        (LOGIN, 405, 405, 404, 404), (LOGIN, "readings:detail", 404, 404, 404)
    ),
    "readings:review": Row(
        (LOGIN, "readings:detail", 404, 404, 404), (LOGIN, "readings:detail", 404, 404, 404)
    ),
    # Asked of nobody: it leads back to the doctor's own reading.
    "readings:second": Row(*[(LOGIN, "readings:detail", 404, 404, 404)] * 2),
    "readings:diagnosis": Row(*[(LOGIN, "readings:detail", 404, "readings:detail", 404)] * 2),
    # Of a team, a member who did not make the reading may assign it, too.
    "readings:team": Row(
        (LOGIN, "readings:detail", 404, 404, 404), (LOGIN, "readings:detail", 404, 404, 404)
    ),
    "patients:detail": OWN_OR_OVERSEEN,
    "orders:list": Row((LOGIN, 200, 200, 200, 403)),
    "orders:new": Row(
        (LOGIN, 200, 200, 200, 403), (LOGIN, "orders:detail", 200, "orders:detail", 403)
    ),
    "orders:import": Row((LOGIN, 200, 200, 200, 403), (LOGIN, 200, 200, 200, 403)),
    "orders:template": Row((LOGIN, 200, 200, 200, 403)),
    "orders:detail": OWN_OR_OVERSEEN,
    "orders:edit": Row(OWN_OR_OVERSEEN.get, ORDERED),
    "orders:cancel": Row(ORDERED, ORDERED),
    "orders:reopen": Row(ORDERED, ORDERED),
    "orders:unlink_film": Row(ORDERED, ORDERED),
    "outgoing:dicom_zip": OWN_OR_OVERSEEN,
    "readings:share": Row(OWN.get, (LOGIN, "forum:post", 404, 404, 404)),
    "readings:withdraw": Row(OWN.get, (LOGIN, "readings:detail", 404, 404, 404)),
    "forum:list": SIGNED_IN,
    "forum:new": Row(SIGNED_IN.get, signed_in_answers("forum:topic")),
    "forum:topic": SIGNED_IN,
    "forum:reply": Row(signed_in_answers(405), signed_in_answers("forum:topic")),
    "forum:follow": Row(signed_in_answers(405), signed_in_answers("forum:topic")),
    "forum:moderate": Row((LOGIN, 403, 403, 405, 403), (LOGIN, 403, 403, "forum:topic", 403)),
    "forum:hide_topic": Row((LOGIN, 403, 403, 200, 403), (LOGIN, 403, 403, "forum:topic", 403)),
    "forum:post": Row(signed_in_answers("forum:topic")),
    "forum:edit": Row(OWN.get, (LOGIN, "forum:topic", 404, 404, 404)),
    "forum:delete": Row(OWN.get, (LOGIN, "forum:topic", 404, 404, 404)),
    "forum:undelete": Row(signed_in_answers(405), (LOGIN, "forum:topic", 404, 404, 404)),
    "forum:history": SIGNED_IN,
    "forum:report": Row(SIGNED_IN.get, signed_in_answers("forum:topic")),
    "forum:hide_post": Row((LOGIN, 403, 403, 200, 403), (LOGIN, 403, 403, "forum:topic", 403)),
    "forum:show_post": Row((LOGIN, 403, 403, 405, 403), (LOGIN, 403, 403, "forum:topic", 403)),
    "forum:preview": Row(signed_in_answers(405), signed_in_answers(200)),
    "forum:people": SIGNED_IN,
    "forum:draft": Row(signed_in_answers(405), signed_in_answers(200)),
    "forum:upload": Row(signed_in_answers(405), signed_in_answers(201)),
    "forum:picture": Row((LOGIN, 200, 200, 200, 404)),  # the film of a shared case
    "forum:picture_page": Row((LOGIN, 200, 200, 200, 404)),
    "forum:notifications": Row(SIGNED_IN.get, signed_in_answers("forum:notifications")),
    "forum:all_read": Row(signed_in_answers(405), signed_in_answers("forum:list")),
    "models:list": SIGNED_IN,
    "models:detail": SIGNED_IN,
    "models:plot": SIGNED_IN,
    "models:transparency": SIGNED_IN,
    "mfa_index": SIGNED_IN,
    "mfa_authenticate": Row((LOGIN, "home", "home", "home", "home")),
    "mfa_reauthenticate": Row((LOGIN, CONFIRM, CONFIRM, 200, 200)),
    "mfa_reauthenticate_webauthn": Row(signed_in_answers(CONFIRM)),
    "mfa_login_webauthn": Row((LOGIN, "home", "home", "home", "home")),
    "mfa_activate_totp": CONFIRMED,
    "mfa_deactivate_totp": Row(
        (LOGIN, 404, 404, CONFIRM, CONFIRM), (LOGIN, 404, 404, CONFIRM, CONFIRM)
    ),
    "mfa_view_recovery_codes": Row(signed_in_answers(404)),
    "mfa_generate_recovery_codes": CONFIRMED,
    "mfa_download_recovery_codes": Row(signed_in_answers(404)),
    "mfa_list_webauthn": SIGNED_IN,
    "mfa_add_webauthn": CONFIRMED,
    "mfa_edit_webauthn": CONFIRMED,
    "mfa_remove_webauthn": CONFIRMED,
    # Without a provider, the sign-in with a hospital's account does not exist.
    **dict.fromkeys(
        [
            "openid_connect_login",
            "openid_connect_callback",
            "saml_login",
            "saml_acs",
            "saml_finish_acs",
            "saml_metadata",
            "saml_sls",
        ],
        Row((404,) * 5, (404,) * 5),
    ),
    "account_login": GUESTS,
    "account_logout": Row(("home", 200, 200, 200, 200), ("home",) * 5),
    "account_signup": GUESTS,
    "account_confirm_login_code": Row((LOGIN, "home", "home", "home", "home")),
    "account_inactive": EVERYBODY,
    "account_reauthenticate": SIGNED_IN,
    "account_email": SIGNED_IN,
    "account_change_password": SIGNED_IN,
    "account_set_password": Row(signed_in_answers("account_change_password")),
    "account_email_verification_sent": EVERYBODY,
    "account_confirm_email": EVERYBODY,
    "account_reset_password": EVERYBODY,
    "account_reset_password_done": EVERYBODY,
    "account_reset_password_from_key": EVERYBODY,
    "account_reset_password_from_key_done": EVERYBODY,
}

# Sessions count for nothing there; tests/exchange/api/test_permissions.py has the rows of tokens.
BY_TOKEN = Row((401,) * 5, (405,) * 5)
BY_TOKEN_POST = Row((405,) * 5, (401,) * 5)
BY_TOKEN_BOTH = Row((401,) * 5, (401,) * 5)
MATRIX |= {
    f"api:{name}": row
    for row, names in {
        BY_TOKEN: [
            "readings-id", "readings-id-film", "readings-id-heatmap", "readings-id-report.pdf",
            "patients", "patients-id", "batches-id", "batches-id-items", "models", "models-id",
            "token",
        ],
        BY_TOKEN_POST: [
            "readings-search", "readings-id-undelete", "patients-search", "batches-id-files",
            "batches-id-finish", "batches-id-cancel", "uploads",
        ],
        BY_TOKEN_BOTH: ["readings", "readings-id-reviews", "batches"],
        Row((405,) * 5, (405,) * 5): ["batches-id-items-id"],  # PATCH and DELETE only
        Row((200,) * 5, (405,) * 5): ["openapi.json", "health"],
        Row((404,) * 5, (404,) * 5): ["nothing"],
    }.items()
    for name in names
}  # fmt: skip


def admin_page(supervisor: Answer, ml_engineer: Answer) -> tuple[Answer, ...]:
    """Return the answers of an admin page, which is for staff only."""
    return (LOGIN, ADMIN_LOGIN, ADMIN_LOGIN, supervisor, ml_engineer)


def admin_site_page(supervisor: Answer, ml_engineer: Answer) -> tuple[Answer, ...]:
    """Return the same for pages of the admin site itself, which redirect to its own sign-in URL."""
    return (ADMIN_LOGIN, ADMIN_LOGIN, ADMIN_LOGIN, supervisor, ml_engineer)


NOBODY = Row(admin_page(403, 403), admin_page(403, 403))
OVERSIGHT = Row(admin_page(200, 403))
STAFF = Row(admin_page(200, 200))
BACK_TO_ACCOUNT = admin_page("admin:accounts_user_change", 403)

MATRIX |= {
    "who_saw": OVERSIGHT,
    "admin:index": Row(admin_site_page(200, 200)),
    "admin:app_list": Row(admin_site_page(200, 404)),
    "admin:login": Row((LOGIN, 403, 403, "admin:index", "admin:index")),
    "admin:logout": Row((ADMIN_LOGIN, "admin:index", "admin:index", 405, 405)),
    "admin:password_change": Row(admin_site_page(200, 200), admin_site_page(200, 200)),
    "admin:password_change_done": Row(admin_site_page(200, 200)),
    "admin:jsi18n": Row(admin_site_page(200, 200)),
    "admin:autocomplete": Row(admin_site_page(403, 403)),
    # It redirects staff to the page of the reading, which checks permissions itself.
    "admin:view_on_site": Row(admin_site_page("readings:detail", "readings:detail")),
    "admin:accounts_auditentry_changelist": OVERSIGHT,
    "admin:accounts_auditentry_change": Row(admin_page(200, 403), admin_page(403, 403)),
    "admin:accounts_auditentry_history": OVERSIGHT,
    "admin:accounts_auditentry_add": NOBODY,
    "admin:accounts_auditentry_delete": NOBODY,
    "admin:accounts_user_changelist": OVERSIGHT,
    "admin:accounts_user_change": Row(admin_page(200, 403), admin_page(403, 403)),
    "admin:accounts_user_history": OVERSIGHT,
    "admin:accounts_user_add": NOBODY,
    "admin:accounts_user_delete": NOBODY,
    "admin:auth_user_password_change": NOBODY,
    "admin:accounts_user_approve": Row(OVERSIGHT.get, BACK_TO_ACCOUNT),
    "admin:accounts_user_reject": Row(OVERSIGHT.get, BACK_TO_ACCOUNT),
    "admin:accounts_user_suspend": Row(OVERSIGHT.get, BACK_TO_ACCOUNT),
    "admin:accounts_user_reinstate": Row(OVERSIGHT.get, BACK_TO_ACCOUNT),
    "admin:accounts_user_role": Row(OVERSIGHT.get, BACK_TO_ACCOUNT),
    "admin:tokens_apitoken_changelist": OVERSIGHT,
    "admin:tokens_apitoken_change": Row(admin_page(200, 403), admin_page(403, 403)),
    "admin:tokens_apitoken_history": OVERSIGHT,
    "admin:tokens_apitoken_add": NOBODY,
    "admin:tokens_apitoken_delete": NOBODY,
    # Without a provider, it leads back.
    "admin:accounts_user_identity": Row(BACK_TO_ACCOUNT, BACK_TO_ACCOUNT),
    # The POST purges a deleted reading.
    "admin:fhir_fhirserver_changelist": OVERSIGHT,
    "admin:fhir_fhirserver_add": OVERSIGHT,
    "admin:fhir_fhirserver_change": Row(admin_page("admin:index", 403)),
    "admin:fhir_fhirserver_history": Row(admin_page("admin:index", "admin:index")),
    "admin:fhir_fhirserver_delete": NOBODY,
    "admin:fhir_fhirdelivery_changelist": OVERSIGHT,
    "admin:fhir_fhirdelivery_add": NOBODY,
    "admin:fhir_fhirdelivery_change": Row(admin_page("admin:index", 403)),
    "admin:fhir_fhirdelivery_history": Row(admin_page("admin:index", "admin:index")),
    "admin:fhir_fhirdelivery_delete": NOBODY,
    "admin:diagnosis_reading_changelist": Row(
        OVERSIGHT.get, admin_page("admin:diagnosis_reading_changelist", 403)
    ),
    "admin:diagnosis_reading_change": Row(admin_page(200, 403), admin_page(403, 403)),
    "admin:diagnosis_reading_history": Row(admin_page(200, "admin:index")),
    "admin:diagnosis_reading_add": NOBODY,
    "admin:diagnosis_reading_delete": NOBODY,
    "admin:diagnosis_patient_changelist": OVERSIGHT,
    "admin:diagnosis_patient_change": OVERSIGHT,
    "admin:diagnosis_patient_history": Row(admin_page(200, "admin:index")),
    "admin:diagnosis_patient_add": NOBODY,
    "admin:diagnosis_patient_delete": NOBODY,
    "admin:diagnosis_patient_duplicates": Row(
        OVERSIGHT.get, admin_page("admin:diagnosis_patient_duplicates", 403)
    ),
    "admin:diagnosis_patient_find": OVERSIGHT,
    "admin:diagnosis_patient_merge": Row(
        OVERSIGHT.get, admin_page("admin:diagnosis_patient_change", 403)
    ),
    # Of a patient with one reading, none can be moved.
    "admin:diagnosis_patient_split": Row(OVERSIGHT.get, admin_page(200, 403)),
    "admin:diagnosis_patient_undo": Row(
        OVERSIGHT.get, admin_page("admin:diagnosis_patient_change", 403)
    ),
    "admin:diagnosis_team_changelist": OVERSIGHT,
    "admin:diagnosis_team_change": Row(
        OVERSIGHT.get, admin_page("admin:diagnosis_team_changelist", 403)
    ),
    "admin:diagnosis_team_history": OVERSIGHT,
    "admin:diagnosis_team_add": Row(
        OVERSIGHT.get, admin_page("admin:diagnosis_team_changelist", 403)
    ),
    "admin:diagnosis_team_delete": NOBODY,
    "admin:incoming_arrival_changelist": OVERSIGHT,
    "admin:incoming_arrival_inbox": Row(
        OVERSIGHT.get, admin_page("admin:incoming_arrival_inbox", 403)
    ),
    "admin:incoming_arrival_change": Row(
        OVERSIGHT.get, admin_page("admin:incoming_arrival_change", 403)
    ),
    "admin:incoming_arrival_film": OVERSIGHT,
    "admin:incoming_arrival_history": Row(admin_page(200, "admin:index")),
    "admin:incoming_arrival_add": NOBODY,
    "admin:incoming_arrival_delete": NOBODY,
    "admin:incoming_peer_changelist": OVERSIGHT,
    "admin:incoming_peer_change": OVERSIGHT,
    "admin:incoming_peer_history": OVERSIGHT,
    "admin:incoming_peer_add": OVERSIGHT,
    "admin:incoming_peer_delete": OVERSIGHT,
    "admin:incoming_routingrule_changelist": OVERSIGHT,
    "admin:incoming_routingrule_change": OVERSIGHT,
    "admin:incoming_routingrule_history": OVERSIGHT,
    "admin:incoming_routingrule_add": OVERSIGHT,
    "admin:incoming_routingrule_delete": OVERSIGHT,
    "admin:diagnosis_reading_shared_films": Row(OVERSIGHT.get, admin_page(405, 405)),
    "admin:diagnosis_reading_statistics": Row(OVERSIGHT.get, admin_page(405, 405)),
    "admin:diagnosis_reading_export": Row(OVERSIGHT.get, admin_page(405, 405)),
    "admin:diagnosis_reading_restore": Row(
        OVERSIGHT.get, admin_page("admin:diagnosis_reading_change", 403)
    ),
    "admin:diagnosis_reading_purge": Row(
        OVERSIGHT.get, admin_page("admin:diagnosis_reading_changelist", 403)
    ),
    "admin:django_tasks_database_dbtaskresult_changelist": OVERSIGHT,
    "admin:django_tasks_database_dbtaskresult_change": Row(
        admin_page(200, 403), admin_page(403, 403)
    ),
    "admin:django_tasks_database_dbtaskresult_history": OVERSIGHT,
    "admin:django_tasks_database_dbtaskresult_add": NOBODY,
    "admin:django_tasks_database_dbtaskresult_delete": NOBODY,
    "admin:django_tasks_database_dbtaskresult_retry": Row(
        OVERSIGHT.get, admin_page("admin:django_tasks_database_dbtaskresult_changelist", 403)
    ),
    "admin:outgoing_target_changelist": OVERSIGHT,
    "admin:outgoing_target_change": Row(
        OVERSIGHT.get, admin_page("admin:outgoing_target_changelist", 403)
    ),
    "admin:outgoing_target_history": OVERSIGHT,
    "admin:outgoing_target_add": Row(
        OVERSIGHT.get, admin_page("admin:outgoing_target_changelist", 403)
    ),
    "admin:outgoing_target_delete": NOBODY,
    "admin:outgoing_target_test": Row(
        OVERSIGHT.get, admin_page("admin:outgoing_target_change", 403)
    ),
    "admin:outgoing_delivery_changelist": Row(
        OVERSIGHT.get, admin_page("admin:outgoing_delivery_changelist", 403)
    ),
    "admin:outgoing_delivery_change": Row(admin_page(200, 403), admin_page(403, 403)),
    "admin:outgoing_delivery_history": OVERSIGHT,
    "admin:outgoing_delivery_add": NOBODY,
    "admin:outgoing_delivery_delete": NOBODY,
    "admin:forum_category_changelist": OVERSIGHT,
    "admin:forum_category_change": Row(
        OVERSIGHT.get, admin_page("admin:forum_category_changelist", 403)
    ),
    "admin:forum_category_history": OVERSIGHT,
    "admin:forum_category_add": Row(
        OVERSIGHT.get, admin_page("admin:forum_category_changelist", 403)
    ),
    "admin:forum_category_delete": NOBODY,
    "admin:forum_report_changelist": OVERSIGHT,
    "admin:forum_report_change": Row(
        admin_page(200, 404), admin_page("admin:forum_report_changelist", 404)
    ),
    "admin:forum_report_history": OVERSIGHT,
    "admin:forum_report_add": NOBODY,
    "admin:forum_report_delete": NOBODY,
    # The POST selects two models to compare.
    "admin:mlcore_modelversion_changelist": Row(
        STAFF.get,
        admin_page("admin:mlcore_modelversion_compare", "admin:mlcore_modelversion_compare"),
    ),
    "admin:mlcore_modelversion_change": Row(STAFF.get, admin_page(403, 403)),
    "admin:mlcore_modelversion_history": STAFF,
    "admin:mlcore_modelversion_compare": Row(STAFF.get, admin_page(405, 405)),
    "admin:mlcore_modelversion_add": NOBODY,
    "admin:mlcore_modelversion_delete": NOBODY,
    "admin:mlcore_modelversion_activate": Row(
        admin_page(403, 200), admin_page(403, "admin:mlcore_modelversion_changelist")
    ),
    "admin:mlcore_modelversion_rollback": Row(
        admin_page(403, 200), admin_page(403, "admin:mlcore_modelversion_changelist")
    ),
}

# The admin's redirect from `<object>/` to `<object>/change/`, and its catch-all.
WITHOUT_A_NAME = "admin:None"


def test_every_url_has_a_row():
    names = {name for name, _ in named_patterns()} - {WITHOUT_A_NAME}
    assert names == set(MATRIX), "URLs without a row, or rows without a URL"


class SiteObjects(NamedTuple):
    """Objects for every page to show.

    Attributes:
        browsers: a signed-in browser for each of PEOPLE, for staff with two-factor authentication.
        addresses: URLs of pages that are not about `reading`, its doctor or its model.
        sent: functions that return the data of a POST, by name of the URL.
    """

    reading: Reading
    browsers: dict[str, Client]
    addresses: dict[str, str]
    sent: dict[str, Callable[[], dict[str, Any]]]

    def address(self, name: str) -> str:
        if name in self.addresses:
            return self.addresses[name]
        if name.startswith("admin:"):
            pattern = dict(named_patterns())[name]
            owner = self.reading.doctor
            return admin_address(name.removeprefix("admin:"), pattern, self.reading, owner)
        return address_of(name, self.reading)


@pytest.fixture
def site_objects(
    reading, doctor, other_doctor, supervisor, ml_engineer, client, film_bytes, active_model
) -> SiteObjects:
    browsers = {
        "anonymous": client,
        "doctor": signed_in(doctor),
        "other_doctor": signed_in(other_doctor),
        "supervisor": signed_in(supervisor),
        "ml_engineer": signed_in(ml_engineer),
    }
    topic = board.open_case(doctor)
    theirs, own, deleted_post, hidden_post = (
        board.reply(author, topic) for author in (other_doctor, doctor, doctor, doctor)
    )
    services.delete_post(author=doctor, post_id=deleted_post.pk)
    moderation.hide_post(by=supervisor, post_id=hidden_post.pk, reason="x")
    report = moderation.report_post(reporter=other_doctor, post_id=own.pk, reason="x")
    category = board.open_category()
    deleted = ReadingFactory(doctor=doctor)
    retention.hide_reading(doctor=doctor, reading_id=deleted.pk, reason="MISTAKE")
    case = sharing.share_case(
        doctor=doctor, reading_id=reading.pk, category=category.pk, title="t", body="b", boxes=[],
        submission=uuid.uuid4(),
    )  # fmt: skip
    avatars.change_avatar(user=doctor, data=board.picture(size=(64, 64)))
    session = UserSession.objects.create(
        user=doctor, ip="127.0.0.1", session_key="elsewhere", user_agent="Firefox"
    )
    applicant, suspended = UserFactory(approval="PENDING"), DoctorFactory(approval="SUSPENDED")
    approved = DoctorFactory()
    earlier = ModelVersion.objects.create(
        name="earlier", path=settings.SHIPPED_MODEL, activated_at=timezone.now(),
        bundle_sha256=active_model.bundle_sha256, card=active_model.card,
    )  # fmt: skip

    task = DBTaskResult.objects.create(
        status="FAILED", task_path="a.task", args_kwargs={"args": [], "kwargs": {}},
        backend_name="default", finished_at=timezone.now(),
    )  # fmt: skip
    tag = shelves.create_tag(doctor=doctor, name="a tag")
    view = shelves.save_view(doctor=doctor, name="a view", query={"sort": "name"})
    team = Team.objects.create(name="Ward 1")
    patient, others = (
        reading.study.patient,
        [Patient.objects.create(name=name, number=name) for name in ("a", "b")],
    )
    merge = patient_moves.merge_patients(
        supervisor=supervisor, source_id=others[0].pk, target_id=patient.pk, reason="r"
    )
    # Without an address: its connection fails at once.
    target = Target.objects.create(name="PACS", way="STOW")
    delivery = Delivery.objects.create(reading=reading, target=target, due_at=timezone.now())
    token, _secret = make_token(owner=doctor, name="van", scopes=["readings:read"], days=30)
    about = {
        "accounts:revoke_token": [token.pk],
        "admin:tokens_apitoken_change": [token.pk],
        "admin:tokens_apitoken_history": [token.pk],
        "admin:tokens_apitoken_delete": [token.pk],
        "readings:tag": [tag.pk],
        "readings:view": [view.pk],
        "patients:detail": [patient.pk],
        "admin:diagnosis_patient_change": [patient.pk],
        "admin:diagnosis_patient_history": [patient.pk],
        "admin:diagnosis_patient_delete": [patient.pk],
        "admin:diagnosis_patient_find": [patient.pk],
        "admin:diagnosis_patient_merge": [patient.pk, others[1].pk],
        "admin:diagnosis_patient_split": [patient.pk],
        "admin:diagnosis_patient_undo": [merge.pk],
        "admin:diagnosis_team_change": [team.pk],
        "admin:diagnosis_team_history": [team.pk],
        "admin:diagnosis_team_delete": [team.pk],
        "readings:undelete": [deleted.pk],
        "readings:withdraw": [reading.pk, case.picture_id],
        "accounts:end_session": [session.pk],
        "forum:undelete": [deleted_post.pk],
        "forum:show_post": [hidden_post.pk],
        "forum:report": [theirs.pk],
        "admin:accounts_user_approve": [applicant.pk],
        "admin:accounts_user_reject": [applicant.pk],
        "admin:accounts_user_suspend": [approved.pk],
        "admin:accounts_user_reinstate": [suspended.pk],
        "admin:accounts_user_role": [approved.pk],
        "admin:diagnosis_reading_restore": [deleted.pk],
        "admin:diagnosis_reading_purge": [deleted.pk],
        "admin:forum_category_change": [category.pk],
        "admin:forum_category_delete": [category.pk],
        "admin:forum_category_history": [category.pk],
        "admin:forum_report_change": [report.pk],
        "admin:forum_report_delete": [report.pk],
        "admin:forum_report_history": [report.pk],
        "admin:mlcore_modelversion_activate": [earlier.pk],
    }
    order = ordering.make_order(doctor)
    about |= {f"orders:{page}": [order.pk] for page in ("detail", "edit", "cancel", "reopen")}
    about["orders:unlink_film"] = [order.pk, 9999]
    tasks = "admin:django_tasks_database_dbtaskresult"
    about |= {f"{tasks}_{page}": [task.pk] for page in ("change", "delete", "history", "retry")}
    about |= incoming_pages.objects()
    pages = ("change", "delete", "history")
    about |= {f"admin:outgoing_target_{page}": [target.pk] for page in (*pages, "test")}
    about |= {f"admin:outgoing_delivery_{page}": [delivery.pk] for page in pages}
    fields_of_target = {
        "name": "PACS", "way": "STOW", "url": "https://pacs.example.org/", "port": 104,
        "own_ae_title": "XRAYSITE", "when": "SIGNED",
    }  # fmt: skip
    fields_of_team = {
        "name": "Ward 1", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0,
    }  # fmt: skip
    fields_of_category = {
        "name_zh_hant": "夜班", "name_en": "Night shift", "position": 5, "opened_by": "EVERYONE",
    }  # fmt: skip
    overridden = {f"override_{name}": "a model for tests" for name in gates.NAMES}
    overridden |= {"confirm_worse": "on", "confirm_uncompared": "on"}
    sent: dict[str, Callable[[], dict[str, Any]]] = {
        "accounts:profile": lambda: {"display_name": "A"},
        "accounts:picture": lambda: {"remove": "1"},
        "readings:new": lambda: patient_details(
            submission=uuid.uuid4(), film=upload_of(film_bytes)
        ),
        "readings:inspect": lambda: {"film": upload_of(film_bytes)},
        "readings:bulk": lambda: {"action": "done", "selected": [reading.pk]},
        "readings:tags": lambda: {"name": "new"},
        "readings:tag": lambda: {"name": "renamed", "colour": "red"},
        "readings:views": lambda: {"name": "new"},
        "readings:view": lambda: {"name": "renamed"},
        "readings:edit": patient_details,
        "orders:new": lambda: ordering.fields(
            recipient=f"doctor-{doctor.pk}", patient_number="B1"
        ),
        "orders:edit": lambda: ordering.fields(
            recipient=f"doctor-{doctor.pk}", patient_number="B1"
        ),
        "readings:review": lambda: {"verdict": "NORMAL"},
        "readings:reports": lambda: {"reading": reading.pk},
        "readings:diagnosis": lambda: {
            "value": "NORMAL", "source": "COURSE", "confirmed_on": "2026-01-09",
        },
        "readings:share": lambda: {
            "category": category.pk, "title": "t", "body": "b", "boxes": "0 0 9 9", "step": "post",
            "confirmed": "on", "submission": uuid.uuid4(),
        },
        "forum:new": lambda: board.form(title="t", category=category.pk),
        "forum:reply": board.form,
        "forum:follow": lambda: {"follow": "1"},
        "forum:moderate": lambda: {"do": "pin"},
        "forum:hide_topic": lambda: {"reason": "r"},
        "forum:hide_post": lambda: {"reason": "r"},
        "forum:report": lambda: {"reason": "r"},
        "forum:edit": lambda: {"body": "b", "title": "t", "version": 1, "action": "post"},
        "forum:preview": lambda: {"body": "b"},
        "forum:draft": lambda: {"topic": topic.pk, "body": "b"},
        "forum:upload": lambda: {"picture": SimpleUploadedFile("p.png", board.picture())},
        "forum:notifications": lambda: {"mail": "NEVER"},
        "admin:accounts_user_approve": lambda: {"role": "doctor"},
        "admin:accounts_user_reject": lambda: {"reason": "r"},
        "admin:accounts_user_suspend": lambda: {"reason": "r"},
        "admin:accounts_user_role": lambda: {"role": "doctor"},
        "admin:diagnosis_reading_changelist": lambda: {
            "action": "purge_selected", "_selected_action": [deleted.pk], "confirmed": "yes",
            "reason": "r",
        },
        "admin:diagnosis_reading_restore": lambda: {"reason": "r"},
        "admin:diagnosis_reading_purge": lambda: {"reason": "r"},
        "admin:diagnosis_patient_duplicates": lambda: {"patient": [patient.pk], "reason": "r"},
        "admin:diagnosis_patient_merge": lambda: {
            "name": "target", "number": "target", "reason": "r",
        },
        "admin:diagnosis_patient_split": lambda: {"reading": [reading.pk], "reason": "r"},
        "admin:diagnosis_team_add": lambda: fields_of_team | {"name": "Ward 2"},
        "admin:diagnosis_team_change": lambda: fields_of_team,
        "admin:outgoing_target_add": lambda: fields_of_target | {"name": "other"},
        "admin:outgoing_target_change": lambda: fields_of_target,
        "admin:outgoing_delivery_changelist": lambda: {
            "action": "cancel", "_selected_action": [delivery.pk],
        },
        "admin:forum_category_add": lambda: fields_of_category,
        "admin:forum_category_change": lambda: fields_of_category,
        "admin:forum_report_change": lambda: {"do": "leave"},
        "admin:mlcore_modelversion_changelist": lambda: {
            "action": "compare_chosen", "_selected_action": [active_model.pk, earlier.pk],
        },
        "admin:mlcore_modelversion_activate": lambda: {**overridden},
        "admin:mlcore_modelversion_rollback": lambda: {"expected": earlier.pk, **overridden},
    }  # fmt: skip
    sent |= incoming_pages.forms()
    addresses = {name: reverse(name, args=arguments) for name, arguments in about.items()}
    return SiteObjects(reading, browsers, addresses, sent)


def answer_of(response: Any, address: str) -> Answer:
    """Return the status or, for a redirect, the name of the URL it leads to."""
    if response.status_code != 302:
        status: int = response.status_code
        return status
    location = urlsplit(response.headers["Location"])
    try:
        name = resolve(location.path).view_name
    except Resolver404:
        return location.path
    if name in {LOGIN, ADMIN_LOGIN} and not address.startswith("/accounts/"):
        assert parse_qs(location.query)["next"][0].startswith(address), (
            "signing in does not return to the page"
        )
    return name


@contextmanager
def rolled_back(site_objects: SiteObjects) -> Iterator[None]:
    """Roll back the database and the cookies afterwards."""
    cookies = {
        person: deepcopy(browser.cookies) for person, browser in site_objects.browsers.items()
    }
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
    for person, browser in site_objects.browsers.items():
        browser.cookies = cookies[person]


def differences(found: dict[tuple[str, str], Answer], method: str) -> list[str]:
    """Return a line for each cell that differs from the matrix."""
    wrong = []
    for (name, person), answer in found.items():
        expected = getattr(MATRIX[name], method)[PEOPLE.index(person)]
        if answer != expected:
            wrong.append(f"{method} {name} by {person}: expected {expected}, got {answer}")
    return wrong


@pytest.mark.parametrize("person", PEOPLE)
def test_get(person, site_objects):
    found = {}
    for name in MATRIX:
        address = site_objects.address(name)
        with rolled_back(site_objects):
            found[name, person] = answer_of(site_objects.browsers[person].get(address), address)
    assert differences(found, "get") == []


def test_post(site_objects):
    found = {}
    for name in (name for name, row in MATRIX.items() if row.post is not None):
        address = site_objects.address(name)
        with rolled_back(site_objects):
            # Those with the fewest permissions come first, before anything is changed.
            for person in reversed(PEOPLE):
                sent = site_objects.sent.get(name, dict)()
                response = site_objects.browsers[person].post(address, sent)
                found[name, person] = answer_of(response, address)
    assert differences(found, "post") == []
