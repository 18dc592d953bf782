import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from exchange.incoming.listener.running import Listening


class Command(BaseCommand):
    help = (
        "Receive X-rays from machines over the DICOM network, and send them to doctors by the "
        "routing rules. Who may send is set in the admin. Ends after SIGTERM, once open "
        "associations have ended."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--ae-title", default=settings.DICOM_AE_TITLE)
        parser.add_argument("--address", default=settings.DICOM_ADDRESS)
        parser.add_argument("--port", type=int, default=settings.DICOM_PORT)
        parser.add_argument("--tls-port", type=int, default=settings.DICOM_TLS_PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        listening = self._listening(options)
        ended = threading.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: ended.set())
        listening.start()
        ports = ", ".join(map(str, listening.ports))
        self.stdout.write(f"{listening.ae_title} listens on port {ports}.")
        self.stdout.flush()
        ended.wait()
        self.stdout.write("Stopping: open associations may end.")
        listening.stop()

    def _listening(self, options: dict[str, Any]) -> Listening:
        if not options["ae_title"]:
            raise CommandError("Set DICOM_AE_TITLE in the environment, or pass --ae-title.")
        tls = None
        if settings.DICOM_TLS_CERTIFICATE:
            if not settings.DICOM_TLS_AUTHORITY:
                raise CommandError(
                    "DICOM_TLS_CERTIFICATE needs DICOM_TLS_AUTHORITY: the authority that issues "
                    "the machines' certificates."
                )
            tls = (
                settings.DICOM_TLS_CERTIFICATE,
                settings.DICOM_TLS_KEY,
                settings.DICOM_TLS_AUTHORITY,
            )
        if not options["port"] and tls is None:
            raise CommandError("There is no port to listen on: DICOM_PORT is 0 without TLS.")
        try:
            return Listening(
                ae_title=options["ae_title"],
                address=options["address"],
                port=options["port"],
                tls_port=options["tls_port"],
                tls=tls,
            )
        except OSError as error:
            raise CommandError(f"The listener cannot start: {error}") from error
