from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base

from xraysite.common import private_files


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's SQLite backend, which creates a database as 0600 whatever the umask.

    In the backend, because each way to create a database leads through it: `migrate`, the server,
    a shell, a test database, a file that was removed while the site runs.
    """

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        name = str(conn_params["database"])
        if not name.startswith(("file:", ":memory:")):
            private_files.prepare_database(Path(name))
        return super().get_new_connection(conn_params)
