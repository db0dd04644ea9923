"""What the file of an image is like, noted as soon as a job has made or changed it.

The scan for drift would note it, too, but up to an hour later, and would take what somebody did meanwhile for ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import IntegrityError
from django.utils import timezone

from datastores.domain.errors import CloudstoreError
from datastores.domain.plan import Shell
from datastores.hosts.stored import FileStored, look_at, stored
from datastores.models import DatastoreHost, Host, Image, Job
from datastores.services.drift import note
from datastores.services.drift_scope import Scope
from datastores.services.managed import leaves_image, masters

logger = logging.getLogger(__name__)


def note_footprint(job: Job, connect: Callable[[str], Shell]) -> None:
    """Look at the file of the image that a job has just made or changed, if nobody may write to it.

    What cannot be read now is left to the next scan. A job on the image that ends later makes the note void.
    """
    image = Image.objects.filter(pk=job.image_id).first() if leaves_image(job.kind) else None
    if image is None or image.persistent:
        return
    since = timezone.now()
    try:
        for step in statements_of(image):
            command = look_at(step.base, step.path)
            found = stored(command, connect(step.host).run_many([command])[0])[""]
            if found.kind == "f" and found.footprint.size >= step.least:
                note({image.pk: found.footprint}, since)
    except (CloudstoreError, IntegrityError) as error:
        logger.info("the file of %s is looked at by the next scan: %s", image, error)


def statements_of(image: Image) -> list[FileStored]:
    """Return what is said of the image's file, where its kind of datastore has one."""
    first = DatastoreHost.objects.filter(datastore=image.datastore_id, position=0)
    scope = Scope(Host.objects.filter(pk__in=first.values("host")), datastore=image.datastore_id, image=image.pk)
    return [step for managed in masters(scope) for step in managed.steps if isinstance(step, FileStored)]
