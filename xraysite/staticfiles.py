"""Storage for static files."""

from whitenoise.storage import CompressedManifestStaticFilesStorage

# import { name } from "./module.js";
IMPORT = (r"""(?P<matched>\bfrom\s*["'](?P<url>\./.*?)["'])""", 'from "%(url)s"')


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Static files under names that contain a hash of their content.

    The hashed names are also put into the imports of this project's JavaScript modules, so that a
    browser never combines a new script with an old module from its cache. Django's own switch for
    this, `support_js_module_import_aggregation`, would rewrite the scripts of installed packages
    as well, and one of django-htmx imports a file that the package does not contain.
    """

    patterns = (*CompressedManifestStaticFilesStorage.patterns, ("js/*.js", (IMPORT,)))
