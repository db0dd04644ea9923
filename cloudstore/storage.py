"""Static files with hashed names, compressed beforehand."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):
    """Hashes the names in ``import`` statements too: modules of two versions must never meet in a browser."""

    support_js_module_import_aggregation = True
