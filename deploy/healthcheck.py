"""Exit with 0 if the site in this container answers, otherwise with 1 and the reason."""

import http.client
import os
import sys

host = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")[0].strip().lstrip(".")
connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=4)
try:
    connection.request("GET", "/healthz", headers={"Host": host})
    response = connection.getresponse()
    said = response.read(500).decode(errors="replace")
except (OSError, http.client.HTTPException) as error:
    sys.exit(f"xraysite does not answer: {error}")
if response.status != http.HTTPStatus.OK:
    sys.exit(f"xraysite is not well ({response.status}): {said}")
