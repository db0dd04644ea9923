"""Images that are not what they say, and paths that lead where nobody should read."""

from __future__ import annotations

import base64
import json

import pytest

from datastores.domain.states import EventKind
from datastores.models import Datastore, Host, Image, Job
from tests.faults.conftest import GOLDEN
from tests.faults.installation import Installation
from tests.hostile_images import HOSTILE, MIB, qcow2
from tests.lab.host import Host as Machine

TAKEN = {"raw", "qcow2", "iso"}
WRITE = (
    "import base64, json, sys\nfor path, text in json.load(sys.stdin): open(path, 'wb').write(base64.b64decode(text))"
)


def put(machine: Machine, *files: tuple[str, bytes]) -> None:
    """Write files on a host."""
    encoded = [(path, base64.b64encode(content).decode()) for path, content in files]
    machine.run(["python3", "-c", WRITE], stdin=json.dumps(encoded), check=True)


def commands_run(site: Installation, job: Job) -> list[str]:
    return [event.text for event in site.events(job) if event.kind == EventKind.ACTION_STARTED]


def test_no_hostile_image_gets_past_the_inspection_and_no_tool_has_opened_it(
    site: Installation, xfs: Datastore
) -> None:
    hostile = [image for image in HOSTILE if image.declared in TAKEN]
    put(site.machine("h1"), *((f"/var/tmp/{image.name}", image.content) for image in hostile))
    jobs = [site.register(xfs, each.name, f"/var/tmp/{each.name}", format=each.declared) for each in hostile]
    for image, job in zip(hostile, jobs, strict=True):
        ended = site.failed(job)
        assert image.because in ended.error, image.name
        assert "No tool has opened it." in ended.error, image.name
        assert commands_run(site, job) == [], image.name
    site.discard(*site.rows(Image).filter(name__in=[image.name for image in hostile]))


def test_an_image_that_is_exchanged_between_its_inspection_and_its_copy_is_found_out_and_removed(
    site: Installation, xfs: Datastore
) -> None:
    source = "/var/tmp/exchanged"
    put(site.machine("h1"), (source, bytes(MIB)))
    with site.points.holding("cp", source) as point:
        job = site.register(xfs, "exchanged", source)
        point.wait()
        put(site.machine("h1"), (source, qcow2(backing="/etc/shadow")))
    ended = site.failed(job)
    assert "declared raw, but it is QCOW2" in ended.error
    assert not any("qemu-img" in command for command in commands_run(site, job))
    site.discard(site.rows(Image).get(name="exchanged"))


@pytest.mark.parametrize(
    ("source", "because"),
    [
        ("/etc/passwd", "not below /var/tmp"),
        ("/var/tmpevil/x", "not below /var/tmp"),
        ("ssh://u@h:/etc/passwd", "must be absolute"),
        ("/nonexistent/dir/f", "not below /var/tmp"),
        ("/var/tmp/nonexistent/f", "there is no such file"),
        ("/var/tmp/shadow", "not below /var/tmp"),
        ("/var/tmp/../../etc/passwd", "must not contain"),
        ("/var/tmp/way/golden.raw", "symbolic link"),
        ("/var/tmp", "not below /var/tmp"),
        ("/proc/self/root/var/tmp/golden.raw", "not below /var/tmp"),
    ],
)
def test_only_real_files_below_an_allowed_directory_become_images(
    site: Installation, xfs: Datastore, source: str, because: str
) -> None:
    copies = "install -d /var/tmpevil; cp /etc/passwd /var/tmpevil/x"
    script = f"{copies}; ln -sfn /etc/shadow /var/tmp/shadow; ln -sfn . /var/tmp/way"
    site.machine("h1").run(["sh", "-c", script], check=True)
    answer = site.answer(
        "/images/register/", datastore=xfs.pk, name="looks fine", source=source, type="OS", format="raw"
    )
    if isinstance(answer, str):
        assert because in answer
        return
    ended = site.failed(answer)
    assert because in ended.error
    assert commands_run(site, answer) == []
    site.discard(site.rows(Image).get(name="looks fine"))


def test_a_path_full_of_shell_is_one_path_and_nothing_more(site: Installation, xfs: Datastore) -> None:
    odd = """/var/tmp/-rf $(touch ~owned) `touch ~owned`; touch ~owned & | > ~owned 'a' "b" \\ ü * ?.raw"""
    machine = site.machine("h1")
    machine.run(["cp", "--reflink=auto", GOLDEN, odd], check=True)
    refused = site.refusal(
        "/datastores/new/", kind="xfs", name="odd", type="image", base="/srv/xfs/$(touch ~owned)",
        storage_host=site.rows(Host).get(name="h1").pk,
    )  # fmt: skip
    assert "may hold letters" in refused
    base = "/srv/xfs/-o a +ü@"
    datastore = site.datastore("odd", base)
    image = site.image(datastore, "odd", odd)
    site.succeeded(site.clone(image, "odd"))
    listed = machine.run(["find", "/root", "/var/tmp", "/srv/xfs", "/tmp", "/", "-maxdepth", "1", "-name", "*owned"])
    assert listed.stdout in (f"{odd}\n", "")
    assert machine.run(["test", "-f", f"{base}/{image.uuid}.raw"]).returncode == 0
    site.discard_all(datastore)
