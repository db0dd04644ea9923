"""An image has its name alone in its datastore, and in the one that it is being moved to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datastores.domain.errors import BadInput, CloudstoreError
from datastores.jobs import control
from datastores.jobs.submit import submit
from datastores.models import Datastore, Image, Job, User
from datastores.services.images import rename
from tests.unit.conftest import GIB, a_datastore, a_host, an_image
from tests.unit.services.conftest import done, ended

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(db: None) -> Datastore:
    return a_datastore("here", hosts=[a_host("h1")])


@pytest.fixture
def there(here: Datastore) -> Datastore:
    return a_datastore("there", hosts=list(here.hosts.all()))


@pytest.fixture
def move(alice: User, here: Datastore, there: Datastore) -> Job:
    """The image "web" is on its way to another datastore."""
    return submit("image.move", user=alice, image=an_image(alice, "web", datastore=here), datastore=there)


def make(user: User, there: Datastore) -> None:
    submit("image.create", user=user, params={"name": "web", "size": GIB, "format": "raw"}, datastore=there)


def call(user: User, there: Datastore) -> None:
    other = Image.objects.filter(name="other").first() or an_image(user, "other", datastore=there)
    rename(other, "web", user, version=other.version)


def bring(user: User, there: Datastore) -> None:
    third = Datastore.objects.filter(name="third").first() or a_datastore("third", hosts=list(there.hosts.all()))
    image = Image.objects.filter(datastore=third).first() or an_image(user, "web", datastore=third)
    submit("image.move", user=user, image=image, datastore=there)


@pytest.mark.parametrize("take", [make, call, bring])
def test_a_name_that_is_on_its_way_is_taken(
    alice: User, move: Job, there: Datastore, take: Callable[[User, Datastore], None]
) -> None:
    with pytest.raises(BadInput, match="image web is being moved to there"):
        take(alice, there)
    ended(move)
    moved = Image.objects.get(pk=move.image_id)
    assert (moved.name, moved.datastore, moved.state) == ("web", there, "ready")
    with pytest.raises(BadInput, match="is an image web in there already"):
        take(alice, there)


@pytest.mark.parametrize("take", [make, call, bring])
@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_a_name_that_did_not_arrive_is_free(
    alice: User, move: Job, there: Datastore, how: str, take: Callable[[User, Datastore], None]
) -> None:
    ended(move, how)
    take(alice, there)
    with pytest.raises(BadInput, match="image web"):
        control.retry(move, alice)


def test_an_image_on_its_way_is_called_what_is_free_in_both_places(
    alice: User, move: Job, here: Datastore, there: Datastore
) -> None:
    for place in (here, there):
        an_image(alice, f"taken-{place.name}", datastore=place)
        with pytest.raises(BadInput, match=f"taken-{place.name} in {place.name} already"):
            rename(move.image, f"taken-{place.name}", alice, version=0)
    rename(move.image, "free", alice, version=0)
    with pytest.raises(BadInput, match="image free is being moved to there"):
        submit("image.create", user=alice, params={"name": "free", "size": GIB, "format": "raw"}, datastore=there)
    make(alice, there)
    ended(move)
    assert Image.objects.get(pk=move.image_id).datastore == there


def test_an_image_keeps_its_own_name(alice: User, here: Datastore) -> None:
    image = an_image(alice, "web", datastore=here)
    rename(image, "web", alice, version=0)
    assert Image.objects.get().name == "web"


def test_a_name_is_taken_in_one_datastore_only(alice: User, here: Datastore, there: Datastore) -> None:
    an_image(alice, "web", datastore=here)
    done("image.create", alice, {"name": "web", "size": GIB, "format": "raw"}, datastore=there)
    assert Image.objects.filter(name="web").count() == 2


def test_why_an_image_of_somebody_else_could_not_be_made_is_not_told(alice: User, bob: User, here: Datastore) -> None:
    an_image(alice, "web", datastore=here, state="error", error="/var/tmp/secret is not there")
    with pytest.raises(CloudstoreError) as refusal:
        submit("image.create", user=bob, params={"name": "web", "size": GIB, "format": "raw"}, datastore=here)
    assert str(refusal.value) == "There is an image web in here already."
