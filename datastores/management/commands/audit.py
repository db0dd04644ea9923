from django.core.management.base import BaseCommand, CommandError, CommandParser

from datastores.models.audit import has_seal, last_seal, unrecorded_ends, verify


class Command(BaseCommand):
    help = (
        "Check the audit trail: every entry is there, unaltered, and follows the one before it, and every job that has "
        "ended has one. Prints the seal of the last entry; keep it elsewhere, and give it with --seal the next time: "
        "an end that was cut off shows in nothing else."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["verify"])
        parser.add_argument("--seal", help="the seal that an earlier check printed")

    def handle(self, action: str, seal: str | None, **options: object) -> None:
        sound, wrong = verify()
        wrong += unrecorded_ends()
        if seal and not has_seal(seal):
            wrong.append("the entry with the seal of the earlier check is gone: the end of the trail was cut off")
        if wrong:
            raise CommandError("\n".join([f"{sound} entries are sound.", *wrong]))
        self.stdout.write(f"{sound} entries, all sound.\nThe last seal, to be kept elsewhere: {last_seal()}")
