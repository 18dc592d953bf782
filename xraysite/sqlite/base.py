from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base

from xraysite.common import private_files


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's SQLite backend, creating databases with mode 0600 regardless of the umask.

    Done in the backend because every database is created through it: by `migrate`, the server, a
    shell or the tests, or after the file was removed while the site runs.
    """

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        name = str(conn_params["database"])
        if not name.startswith(("file:", ":memory:")):
            private_files.prepare_database(Path(name))
        return super().get_new_connection(conn_params)
