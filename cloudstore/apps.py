from django.apps import AppConfig
from django.core.checks import register


class CloudstoreConfig(AppConfig):
    name = "cloudstore"

    def ready(self) -> None:
        from cloudstore.checks import database_is_local

        register(database_is_local)
