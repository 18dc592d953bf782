"""Factories for users and readings. A reading made here is only a row, without a film."""

import datetime
import hashlib

import factory
from django.contrib.auth.models import Group

from accounts import roles
from accounts.models import User
from diagnosis.models import Label, Reading
from mlcore import inference
from mlcore.models import ModelVersion

PASSWORD = "long enough to be one"


def holding(role: str) -> factory.PostGeneration:
    """Give the new account a role."""

    def add(user: User, create: bool, extracted: object, **kwargs: object) -> None:
        user.groups.add(Group.objects.get(name=role))

    return factory.PostGeneration(add)


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"user{n}@example.org")
    display_name = factory.Sequence(lambda n: f"User {n}")
    approval = User.Approval.APPROVED
    password = factory.django.Password(PASSWORD)

    @factory.post_generation
    def verified(self: User, create: bool, extracted: object, **kwargs: object) -> None:
        """Verify the address, unless `verified=False` is passed."""
        if extracted is not False:
            self.vouch_for_email()


class DoctorFactory(UserFactory):
    display_name = factory.Sequence(lambda n: f"Doctor {n}")
    role = holding(roles.DOCTOR)


class SupervisorFactory(UserFactory):
    is_staff = True
    role = holding(roles.SUPERVISOR)


class MLStaffFactory(UserFactory):
    is_staff = True
    role = holding(roles.ML_STAFF)


class ReadingFactory(factory.django.DjangoModelFactory):
    """A stored reading by the active model version."""

    class Meta:
        model = Reading

    doctor = factory.SubFactory(DoctorFactory)
    patient_name = factory.Sequence(lambda n: f"Patient {n}")
    patient_number = factory.Sequence(lambda n: f"P{n:05d}")
    patient_age_years = 3
    exam_date = datetime.date(2026, 1, 2)
    film_sha256 = factory.Sequence(lambda n: hashlib.sha256(str(n).encode()).hexdigest())
    film_format = "PNG"
    film_bytes = 1000
    film_width = 256
    film_height = 256
    label = Label.NORMAL
    probabilities = {"NORMAL": 0.9, "PNEUMONIA": 0.1}
    threshold = 0.5
    scope_score = 0.0
    scope_threshold = 1.0
    activation_map = factory.LazyFunction(
        lambda: inference.encode_activation_map([[0.0, 1.0], [0.5, 0.0]])
    )
    model_version = factory.LazyFunction(lambda: ModelVersion.objects.get(is_active=True))
    bundle_sha256 = factory.SelfAttribute("model_version.bundle_sha256")
    preprocessing_id = "test"
    inference_ms = 1.0
