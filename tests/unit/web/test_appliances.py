"""The page of an appliance's LUNs."""

from __future__ import annotations

import pytest
from django.test import Client

from datastores.hosts.appliance_luns import Answer
from datastores.models import ApplianceGuard, ApplianceLun, ApplianceReach, Datastore, Image, Job, User
from datastores.services.appliances import remember_luns
from tests.unit.conftest import a_datastore, a_host, an_image, signed_in, text_of
from tests.unit.services.test_appliances import GIB, IQN, offered

pytestmark = pytest.mark.django_db


@pytest.fixture
def nas(db: None) -> Datastore:
    return a_datastore(
        "nas", kind="nas", base="/srv/nas", hosts=[a_host("kvm1"), a_host("kvm2")], options={"portals": "10.0.0.5"}
    )


@pytest.fixture
def anna(admin: User) -> Client:
    return signed_in(admin)


def shown(client: Client, nas: Datastore) -> str:
    return text_of(client.get(f"/datastores/{nas.pk}/luns/"))


def test_before_anything_was_found_the_page_says_what_to_do(anna: Client, nas: Datastore) -> None:
    page = shown(anna, nas)
    assert "Not looked for yet" in page and "Find LUNs" in page and "not tried yet" in page


def test_each_lun_is_shown_with_what_became_of_it(anna: Client, admin: User, nas: Datastore) -> None:
    remember_luns(nas, offered(1, 2, 3, size=10 * GIB))
    image = an_image(admin, "data", datastore=nas, virtual_size=10 * GIB, format="raw")
    ApplianceLun.objects.filter(number=3).update(image=image)
    remember_luns(nas, [*offered(2, size=20 * GIB), *offered(3, size=5 * GIB)])
    page = shown(anna, nas)
    for words in (IQN, "gone", "was 10 GiB", "20 GiB", "smaller than its image", ">data<", "Pin as an image"):
        assert words in page, words


def test_a_lun_is_pinned_under_a_name(anna: Client, nas: Datastore) -> None:
    remember_luns(nas, offered(1))
    row = ApplianceLun.objects.get()
    address = f"/datastores/{nas.pk}/luns/pin/"
    refused = anna.post(address, {"lun": row.pk, f"{row.pk}-name": "", f"{row.pk}-type": "DATABLOCK"})
    assert refused.status_code == 200 and not Job.objects.exists()
    anna.post(address, {"lun": row.pk, f"{row.pk}-name": "data", f"{row.pk}-type": "DATABLOCK"})
    assert Job.objects.get().kind == "nas.pin" and Image.objects.get().name == "data"
    assert anna.post(address, {"lun": "x"}).status_code != 500


def test_the_page_of_a_pinned_image_offers_to_unpin_it_and_nothing_that_is_done_at_the_appliance(
    anna: Client, admin: User, nas: Datastore
) -> None:
    remember_luns(nas, offered(1))
    image = an_image(admin, "data", datastore=nas, virtual_size=10 * GIB, format="raw", persistent=True)
    ApplianceLun.objects.update(image=image)
    page = text_of(anna.get(f"/images/{image.pk}/"))
    assert "Unpin" in page and "Move to another datastore" not in page and "Checksum</button>" not in page
    anna.post(f"/images/{image.pk}/unpin/")
    assert not Image.objects.exists() and ApplianceLun.objects.get().image is None


def test_who_gets_there_is_marked_where_it_is_not_as_it_should_be(anna: Client, nas: Datastore) -> None:
    other = a_host("web1")
    kvm1, kvm2 = nas.hosts.order_by("name")
    for host, answer in ((kvm1, Answer.OFFERS), (kvm2, Answer.SILENT), (other, Answer.ANSWERS)):
        ApplianceReach.objects.create(datastore=nas, host=host, portal="10.0.0.5:3260", answer=answer)
    page = shown(anna, nas)
    rows = {name: page.split(f"<b>{name}</b>")[1].split("</tr>")[0] for name in ("kvm1", "kvm2", "web1")}
    assert {name: "st bad" in row for name, row in rows.items()} == {"kvm1": False, "kvm2": True, "web1": True}


def test_others_are_kept_from_it_by_a_job(anna: Client, nas: Datastore) -> None:
    a_host("web1")
    anna.post(f"/datastores/{nas.pk}/luns/guard/", {"on": "1"})
    assert Job.objects.get().kind == "nas.guard"


def test_the_page_says_which_hosts_are_kept_from_it_and_which_are_not(anna: Client, nas: Datastore) -> None:
    kept, _ = a_host("web1"), a_host("web2")
    assert "Not kept from them: web1, web2." in text_of(anna.get(f"/datastores/{nas.pk}/luns/"))
    ApplianceGuard.objects.create(datastore=nas, host=kept)
    page = text_of(anna.get(f"/datastores/{nas.pk}/luns/"))
    assert ": web1. Not kept from them: web2." in page and "Let other hosts get there" in page


def test_other_kinds_have_no_luns(anna: Client) -> None:
    store = a_datastore("plain")
    assert anna.get(f"/datastores/{store.pk}/luns/").url == f"/datastores/{store.pk}/"


def test_nothing_new_is_offered_to_be_put_there(anna: Client, nas: Datastore) -> None:
    assert f'value="{nas.pk}"' not in text_of(anna.get("/images/register/"))
    assert "Register image" not in text_of(anna.get(f"/datastores/{nas.pk}/")).split("acts")[1].split("</div>")[0]
