"""Settings of the listener for X-rays from machines (`manage.py dicom_listen`)."""

from xraysite.common import env

# The site's own AE title. Without it, no listener is expected to run.
DICOM_AE_TITLE: str = env.env.str("DICOM_AE_TITLE", default="")
DICOM_ADDRESS: str = env.env.str("DICOM_ADDRESS", default="")
# 0: no port without TLS.
DICOM_PORT = env.whole_number("DICOM_PORT", default=11112, least=0)
DICOM_TLS_PORT = env.whole_number("DICOM_TLS_PORT", default=2762)
# PEM files. With a certificate, the second port is opened; clients need one of the authority.
DICOM_TLS_CERTIFICATE: str = env.env.str("DICOM_TLS_CERTIFICATE", default="")
DICOM_TLS_KEY: str = env.env.str("DICOM_TLS_KEY", default="")
DICOM_TLS_AUTHORITY: str = env.env.str("DICOM_TLS_AUTHORITY", default="")
# Each may hold an X-ray of FILM_MAX_BYTES in memory.
DICOM_MAX_ASSOCIATIONS = env.whole_number("DICOM_MAX_ASSOCIATIONS", default=20)
# With more X-rays that wait to be routed, machines are told to send again later.
DICOM_MAX_WAITING = env.whole_number("DICOM_MAX_WAITING", default=5000)
# Days for which X-rays that are kept out stay; then their files are deleted.
DICOM_KEEP_DAYS = env.whole_number("DICOM_KEEP_DAYS", default=30)
