from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from datastores.jobs.worker import MixedPool


class Command(BaseCommand):
    help = "Run workers for the queues, and the schedule. Stops cleanly on SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "slots",
            nargs="*",
            default=settings.WORKERS,
            help='one process a word, its threads joined by "+": queues joined by commas, or "schedule"',
        )

    def handle(self, slots: list[str], **options: object) -> None:
        MixedPool([tuple(slot.split("+")) for slot in slots]).start()
