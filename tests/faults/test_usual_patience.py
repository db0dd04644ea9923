"""How long it takes with the settings that an installation has by itself."""

from __future__ import annotations

import time
from concurrent.futures import Future

from datastores.models import AuditEntry, Image, Lease
from datastores.models.audit import verify
from tests.faults.agreement import files_below
from tests.faults.conftest import PROMISED, Abandoned
from tests.lab.disks import MIB


def test_with_the_patience_of_any_installation_a_job_is_resumed_within_ninety_seconds(
    usual: Future[Abandoned],
) -> None:
    site, job, killed = usual.result()
    ended = site.succeeded(job, seconds=max(1.0, killed + PROMISED - time.time()))
    assert ended.ended_at and ended.ended_at.timestamp() - killed < PROMISED
    assert ended.attempts == 2 and not site.rows(Lease).exists()
    assert verify(site.rows(AuditEntry).order_by("seq").iterator())[1] == []
    image = site.rows(Image).get(name="usual")
    assert files_below(site.machine("h2"), "/srv/usual") == {f"/srv/usual/{image.uuid}.raw": MIB}
