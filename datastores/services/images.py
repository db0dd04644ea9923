"""The rows of images: what they are called, where they come from, and what may be said of them without a job."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from datastores.domain import values
from datastores.domain.errors import BadInput, Refused
from datastores.domain.states import ENDED, JobState, ObjectState
from datastores.domain.volumes import Capability, Format
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import driver_class
from datastores.models import Datastore, Image, ImageFootprint, Job, User
from datastores.models.audit import in_turn, record
from datastores.services import settings
from datastores.services.dependants import built_on, require_unneeded, users_of
from datastores.services.placing import hosts_of, require_ready, require_state
from datastores.services.rows import change_row
from datastores.services.viewers import Viewer, listed, may_see

EXTENSIONS = {".qcow2": Format.QCOW2, ".qcow": Format.QCOW2, ".iso": Format.ISO}


def new_image(job: Job, datastore: Datastore, *, found: bool = False, **fields: Any) -> Image:
    """Create the row of an image that a job is going to make; ``found``: of one that somebody else has made.

    :raises BadInput: the name is not acceptable, or taken in this datastore.
    """
    require_ready(datastore)
    if datastore.type == Datastore.Type.SYSTEM:
        raise Refused(f"{datastore.name} is a system datastore: it holds VM disks, not images.")
    name = values.object_name(job.params["name"])
    require_free_name(datastore, name, job.user)
    driver = driver_class(datastore.kind)
    if driver.has_luns != found:
        raise Refused(f"{datastore.name} holds LUNs that are made at an appliance. Pin one of them on its page.")
    if fields["format"] not in driver.formats:
        raise BadInput(
            f"{driver.label} datastores hold {' and '.join(driver.formats)} images, no {fields['format']}. Put it into "
            "a datastore of files, and move it from there: it is converted on the way."
        )
    if fields.get("type", Image.Type.OS) not in Image.Type.values:
        raise BadInput(f"{fields['type']!r} is not a type of image.")
    job.image = Image.objects.create(name=name, datastore=datastore, owner=job.user, **fields)
    job.target_label = f"{datastore.name}/{name}"
    return job.image


def require_free_name(datastore: Datastore, name: str, viewer: Viewer, *, image: Image | None = None) -> None:
    """Raise BadInput when an image other than ``image`` has the name in the datastore, or is on its way there with it.

    Names are chosen in turn, and one that is being moved keeps its own in both datastores until it has arrived: there
    the name must still be free when the bytes are there and the old ones are gone.
    """
    there = Image.objects.filter(name=name).exclude(pk=image.pk if image else None)
    taken = there.filter(datastore=datastore).first()
    if taken and taken.state == ObjectState.ERROR and may_see(viewer, taken):
        raise BadInput(
            f"There is an image {name} in {datastore.name} that could not be made ({taken.error.rstrip('.')}). "
            "Delete it, or choose another name."
        )
    if taken:
        raise BadInput(f"There is an image {name} in {datastore.name} already.")
    if open_moves().filter(datastore=datastore, image__in=there).exists():
        raise BadInput(f"An image {name} is being moved to {datastore.name}. Choose another name.")


def open_moves() -> QuerySet[Job]:
    """Return the moves of images that have not ended; the datastore of each is where the image will be."""
    return Job.objects.filter(kind="image.move", state__in=set(JobState) - ENDED)


def source_directories(datastore: Datastore) -> list[str]:
    """Return the directories of the storage host from which images may be registered: real paths."""
    return datastore.source_directories or settings.value("source_directories")


def bases_beside(datastore: Datastore) -> tuple[str, ...]:
    """Return the base paths of all datastores on its storage host: the disks in them are somebody's."""
    there = Datastore.objects.filter(hosts=hosts_of(datastore)[0])
    return tuple(there.order_by("pk").values_list("base", flat=True))


def check_source(datastore: Datastore, source: str) -> None:
    """Raise BadInput when the path, as it is written, lies in no allowed directory, or in a datastore.

    The host judges the real path.
    """
    if taken := next((base for base in bases_beside(datastore) if values.is_below(source, base)), None):
        raise BadInput(f"{source} lies in {taken}, which belongs to a datastore: nothing is registered from there.")
    allowed = source_directories(datastore)
    if not any(values.is_below(source, directory) and source != directory for directory in allowed):
        raise BadInput(
            f"{source} is not below {' or '.join(allowed)}, from where images may be registered in {datastore.name}."
            if allowed
            else f"No directory is allowed from which images may be registered in {datastore.name}."
        )


def rename(image: Image, name: str, user: User, address: str = "", *, version: int) -> None:
    """Give an image another name. The file keeps its own.

    :raises BadInput: the name is not acceptable, or taken where the image is or is being moved to.
    :raises Refused: somebody else changed the image meanwhile.
    """
    name = values.object_name(name)
    with in_turn():
        here = Image.objects.filter(pk=image.pk).values("datastore")
        there = open_moves().filter(image=image).values("datastore")
        for place in Datastore.objects.filter(Q(pk__in=here) | Q(pk__in=there)):
            require_free_name(place, name, user, image=image)
        change_row(image, version, name=name)
        record("image.rename", user=user, address=address, target=image, result="done", before=image.name, after=name)


def set_persistent(image: Image, user: User, address: str = "", *, on: bool, version: int) -> None:
    """Say whether VMs use the master itself (persistent) or a clone of it.

    :raises Refused: it is in use, it would be written to below what is built on it, or somebody else changed it.
    """
    with in_turn():
        before = image.persistent
        change_row(image, version, persistent=on)
        ImageFootprint.objects.filter(image=image.pk).delete()  # a VM may write to it, or may have
        require_state(image, ObjectState.READY)
        if users := users_of(image, user):
            raise Refused(f"{image.name} is used by {listed(users)}.")
        if on:
            require_unneeded(image, user, "made persistent", built_on(image, user))
        record("image.persistent", user=user, address=address, target=image, result="done",
               before=before, after=on)  # fmt: skip


def can_clone(driver: StorageDriver, image: Image) -> bool:
    """Tell whether a copy-on-write clone of the image can be made where it is."""
    return Capability.CLONE in driver.capabilities(Format(image.format))
