from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from datastores.jobs.worker import SCHEDULE, MixedPool


class Command(BaseCommand):
    help = "Run workers for the queues, and the schedule. Stops cleanly on SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "slots",
            nargs="*",
            default=settings.WORKERS,
            help="the queues of each worker, joined by commas, in order of preference",
        )
        parser.add_argument("--no-schedule", action="store_true", help="another machine keeps the schedule")

    def handle(self, slots: list[str], no_schedule: bool, **options: object) -> None:
        taken = [tuple(slot.split(",")) for slot in slots]
        MixedPool(taken if no_schedule else [*taken, (SCHEDULE,)]).start()
