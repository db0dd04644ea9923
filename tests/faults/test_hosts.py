"""Hosts that do not answer, do not let us in, are not who they were, or lack what a job needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from datastores.domain.states import HostState
from datastores.models import AuditEntry, Datastore, Host, Image
from datastores.services.placing import disk_volume, image_volume
from tests.faults.agreement import inside
from tests.faults.installation import Installation
from tests.lab.host import Host as Machine

WRONG_PASSWORD, RIGHT_PASSWORD = "canary-wrong-5c1e7b", "canary-right-9d40f2"
CONTEXT_SECRET = "canary-context-77ab31"
NEW_KEY = """
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/new_key </dev/null
mv /etc/ssh/new_key /etc/ssh/ssh_host_ed25519_key
mv /etc/ssh/new_key.pub /etc/ssh/ssh_host_ed25519_key.pub
systemctl stop ssh
pkill sshd
systemctl start ssh
"""


@pytest.fixture
def stranger(site: Installation) -> Iterator[Machine]:
    """h3, which the product does not know; whatever it was told of it is forgotten afterwards."""
    machine = site.machine("h3")
    yield machine
    machine.heal()
    for host in site.rows(Host).filter(address=machine.address):
        site.press(f"/hosts/{host.pk}/delete/", confirm_name=host.name)


def test_a_closed_port_is_told_apart_from_a_host_that_is_silent(site: Installation, stranger: Machine) -> None:
    host = site.add_host("h3")
    site.press(
        f"/hosts/{host.pk}/edit/", name="h3", address=stranger.address, port=2222, account="root", how="stored",
        credential=host.credential_id, version=site.fresh(host).version,
    )  # fmt: skip
    refused = site.refusal(f"/hosts/{host.pk}/scan/")
    assert "refuses the connection" in refused and "2222" in refused
    job = site.failed(site.ask(f"/hosts/{host.pk}/onboard/"))
    assert "refuses the connection" in job.error and "2222" in job.error


def test_a_host_whose_cable_is_out_fails_the_job_and_works_when_it_is_in_again(
    site: Installation, stranger: Machine
) -> None:
    host = site.add_host("h3")
    stranger.cut()
    job = site.failed(site.ask(f"/hosts/{host.pk}/onboard/"))
    assert "does not answer within" in job.error and "network is cut" in job.error
    assert site.fresh(host).state == HostState.UNREACHABLE
    stranger.heal()
    site.succeeded(site.ask(f"/jobs/{job.uuid}/retry/"))
    assert site.fresh(host).state == HostState.READY


def test_a_wrong_first_password_is_told_and_the_right_one_is_forgotten_after_its_use(
    site: Installation, stranger: Machine
) -> None:
    stranger.run(["chpasswd"], stdin=f"admin1:{RIGHT_PASSWORD}\n", check=True)
    host = site.add_host("h3", account="admin1", how="own", private_key="", first_password=WRONG_PASSWORD)
    job = site.failed(site.ask(f"/hosts/{host.pk}/onboard/"))
    assert "refused the account admin1 with" in job.error and "its password" in job.error
    site.press(
        f"/hosts/{host.pk}/edit/", name="h3", address=stranger.address, port=22, account="admin1", how="own",
        first_password=RIGHT_PASSWORD, version=site.fresh(host).version,
    )  # fmt: skip
    site.succeeded(site.ask(f"/jobs/{job.uuid}/retry/"))
    assert site.rows(Host).filter(pk=host.pk, state=HostState.READY, first_password="").exists()


def test_an_account_without_sudo_is_told_so_and_nothing_is_run(site: Installation, stranger: Machine) -> None:
    stranger.run(["chpasswd"], stdin=f"ops:{RIGHT_PASSWORD}\n", check=True)
    host = site.add_host("h3", account="ops", how="own", private_key="", first_password=RIGHT_PASSWORD)
    job = site.failed(site.ask(f"/hosts/{host.pk}/onboard/"))
    assert "ops may not run commands as root on h3" in job.error and "NOPASSWD" in job.error
    assert stranger.run(["ls", "/home/ops/.ssh"]).returncode


def test_a_changed_host_key_refuses_the_job_and_shuts_the_host_off_until_the_new_key_is_pinned(
    site: Installation, stranger: Machine
) -> None:
    host = site.onboard("h3")
    inside(stranger, "sh", "-c", NEW_KEY)
    site.lab.up(3)
    job = site.failed(site.ask(f"/hosts/{host.pk}/read/"))
    assert "is pinned. Nothing was sent to it." in job.error
    assert site.fresh(host).state == HostState.QUARANTINED
    assert site.rows(AuditEntry).filter(action="host.quarantined", target="h3").count() == 1
    again = site.failed(site.ask(f"/hosts/{host.pk}/read/"))
    assert "quarantined" in again.error
    site.pin(host, stranger.host_key)
    site.succeeded(site.ask(f"/hosts/{host.pk}/read/"))
    assert site.fresh(host).state == HostState.READY


@contextmanager
def without(machine: Machine, *tools: str) -> Iterator[None]:
    for tool in tools:
        machine.run(["mv", f"/usr/bin/{tool}", f"/usr/bin/{tool}.away"], check=True)
    try:
        yield
    finally:
        for tool in tools:
            machine.run(["mv", f"/usr/bin/{tool}.away", f"/usr/bin/{tool}"], check=True)


def test_a_missing_qemu_img_fails_the_job_with_its_name(site: Installation, xfs: Datastore) -> None:
    with without(site.machine("h1"), "qemu-img"):
        job = site.failed(site.ask("/images/block/", datastore=xfs.pk, name="block", size="1 GiB", format="qcow2"))
    assert "qemu-img" in job.error
    site.succeeded(site.ask(f"/jobs/{job.uuid}/retry/"))
    site.discard(site.rows(Image).get(name="block"))


def test_a_host_that_cannot_make_isos_refuses_a_context_and_says_what_to_install(
    site: Installation, xfs: Datastore
) -> None:
    with without(site.machine("h1"), "genisoimage", "mkisofs"):
        variables = f"ROOT_PASSWORD={CONTEXT_SECRET}"
        job = site.failed(site.ask("/images/context/", datastore=xfs.pk, name="context", variables=variables))
    assert "Install genisoimage" in job.error
    site.succeeded(site.ask(f"/jobs/{job.uuid}/retry/"))
    image = site.rows(Image).get(name="context")
    path = image_volume(image).path
    assert image.virtual_size == int(site.machine("h1").run(["stat", "-c", "%s", path], check=True).stdout) > 0
    site.discard(image)


@contextmanager
def renamed(site: Installation, host: Host, name: str) -> Iterator[None]:
    """Call the host something else for a while."""

    def call(name: str) -> None:
        site.press(
            f"/hosts/{host.pk}/edit/", name=name, address=host.address, port=host.port, account=host.account,
            how="stored", credential=host.credential_id, version=site.fresh(host).version,
        )  # fmt: skip

    call(name)
    try:
        yield
    finally:
        call(host.name)


def test_a_disk_is_taken_back_on_its_host_though_another_one_has_that_name_now(
    site: Installation, stranger: Machine, golden: Image
) -> None:
    job = site.succeeded(site.clone(golden, "vm-of-old-h1"))
    path = disk_volume(job.disk).path
    with renamed(site, site.rows(Host).get(name="h1"), "old-h1"):
        namesake = site.add_host("h1", machine="h3")
        stranger.run(["install", "-D", "/dev/null", path], check=True)
        assert site.ended(site.undo(job)).word == "undone"
        assert site.machine("h1").run(["test", "-e", path]).returncode
        stranger.run(["rm", path], check=True)
        site.press(f"/hosts/{namesake.pk}/delete/", confirm_name="h1")
