from django.apps import AppConfig


class XraysiteConfig(AppConfig):
    name = "xraysite"

    def ready(self) -> None:
        from xraysite import checks  # noqa: F401
