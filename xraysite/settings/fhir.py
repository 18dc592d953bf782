"""Settings of the FHIR service and of results that are sent to FHIR servers."""

from xraysite.common import env

# The system of the hospital's patient numbers, a URL that the hospital has chosen. Without it, one
# of this site's own.
FHIR_PATIENT_NUMBER_SYSTEM = env.env.str("FHIR_PATIENT_NUMBER_SYSTEM", default="")
# Whether reports follow TW Core's profile, which forbids references to results other than those of
# a laboratory. Otherwise reports refer to their Observations, and claim no profile.
FHIR_TW_CORE_REPORTS = env.env.bool("FHIR_TW_CORE_REPORTS", default=False)
# A folder with files of tokens, each named as a server names its token.
FHIR_TOKENS = env.env.str("FHIR_TOKENS", default="")
# Seconds for each answer of another server.
FHIR_TIMEOUT = env.whole_number("FHIR_TIMEOUT", default=30)
# Without workers, a thread of the web process sends. Tests send themselves.
FHIR_THREAD = True
