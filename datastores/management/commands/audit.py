from django.core.management.base import BaseCommand, CommandError, CommandParser

from datastores.models.audit import verify


class Command(BaseCommand):
    help = "Check the audit trail: every entry is there, unaltered, and follows the one before it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["verify"])

    def handle(self, action: str, **options: object) -> None:
        sound, wrong = verify()
        if wrong:
            raise CommandError("\n".join([f"{sound} entries are sound.", *wrong]))
        self.stdout.write(f"{sound} entries, all sound.")
