"""Names and addresses of iSCSI."""

from __future__ import annotations

import pytest

from datastores.domain.errors import BadInput
from datastores.domain.iscsi import Lun, Portal, authority, distinct, initiator, iqn, name_part

NAME = "iqn.2013-10.org.opennebula:h1.vg-one.lv-one-7"


@pytest.mark.parametrize(
    "name", [NAME, "iqn.2004-04.com.qnap:ts-419p:iscsi.images_1.d1234", "eui.02004567A425678D", "naa.52004567BA64678D"]
)
def test_names_are_those_of_the_standard(name: str) -> None:
    assert iqn(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "vg-one", "iqn.2013-13.org:x", "iqn.13-10.org:x", f"{NAME} x", f"{NAME};id", f"{NAME}\n",
     "iqn.2013-10.org:" + "x" * 220, "eui.1", "-iqn.2013-10.org:x", f"{NAME}/../x", "iqn.2013-10.org:x>"],
)  # fmt: skip
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is no iSCSI name"):
        iqn(name)


def test_an_authority_has_no_name_in_it() -> None:
    assert authority("iqn.2013-10.org.opennebula") == "iqn.2013-10.org.opennebula"
    for value in (NAME, "iqn.2013-10.", "opennebula.org", "iqn.2013-10.ORG"):
        with pytest.raises(BadInput, match="is not what names of targets begin with"):
            authority(value)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("10.0.0.2", "10.0.0.2"), ("10.0.0.2/32", "10.0.0.2"), ("10.0.0.0/24", "10.0.0.0/24"), ("fd00::1", "fd00::1"),
     ("iqn.1993-08.org.debian:01:abc", "iqn.1993-08.org.debian:01:abc")],
)  # fmt: skip
def test_initiators_are_addresses_networks_or_names(given: str, kept: str) -> None:
    assert initiator(given) == kept


@pytest.mark.parametrize(("given", "why"), [("0.0.0.0/0", "everybody"), ("10.0.0.1/24", "host bits"), ("ALL", "no IP"),
                                            ("h2", "no IP"), ("iqn.x", "no iSCSI name")])  # fmt: skip
def test_who_would_be_everybody_or_nobody_is_refused(given: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        initiator(given)


def test_a_lun_is_a_device_of_the_kernel_and_an_address_of_qemu() -> None:
    lun = Lun(Portal("10.0.0.1"), NAME)
    assert lun.device == f"/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-{NAME}-lun-1"
    assert lun.url == f"iscsi://10.0.0.1:3260/{NAME}/1"
    assert str(Portal("fd00::1", 3261)) == "[fd00::1]:3261"


@pytest.mark.parametrize("address", ["FD00::1", "h1 h2", "h1;id", "-h1", ""])
def test_a_portal_is_written_in_one_way(address: str) -> None:
    with pytest.raises(BadInput):
        Portal(address)


def test_any_path_becomes_a_part_of_a_name() -> None:
    assert name_part("/srv/My images+1/7/disk.0") == "srv-my-images-1-7-disk.0"


def test_no_two_texts_are_made_the_same_name() -> None:
    texts = [
        *(
            "kvm1",
            "kvm-1",
            "kvm_1",
            "Kvm-1",
            "kvm.1",
            "/srv/one_a",
            "/srv/one-a",
            "/srv/One-A",
            "/srv/one/a",
            "/",
            "//",
        ),
        *("k" * 64, "k" * 65, "k" * 66, "/srv/" + "k" * 99, "/srv/" + "k" * 98),
    ]
    made = [distinct(text, 64) for text in texts]
    assert len(set(made)) == len(texts) and max(map(len, made)) == 64
    assert made[0] == "kvm1" and all(iqn(f"iqn.2013-10.org.opennebula:{name}") for name in made)
