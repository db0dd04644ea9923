"""The frame around the pages: first run, overview, lists, errors, people, audit."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from datastores.domain.states import HostState, JobState
from datastores.jobs.view import JOB_LOOK, STEP_LOOK
from datastores.models import AuditEntry, Cluster, User
from datastores.models.audit import record
from datastores.web import look
from datastores.web.figures import percentile
from datastores.web.lists import PAGE
from datastores.web.sentences import sentence
from tests.unit.conftest import (
    GIB,
    a_credential,
    a_datastore,
    a_disk,
    a_host,
    a_job,
    a_step,
    a_vm,
    an_image,
    person,
    signed_in,
)

ROOT = Path(django_settings.BASE_DIR)
TEMPLATES = sorted((ROOT / "datastores" / "templates").rglob("*.html"))


def text_of(response: Any) -> str:
    text: str = response.content.decode()
    return text


# Overview


def test_without_a_host_the_first_page_says_how_to_begin(admin: User, operator: User) -> None:
    page = text_of(signed_in(admin).get("/"))
    assert "Add your first host" in page
    assert "ssh-keygen -lf" in page
    assert "An admin adds the hosts" in text_of(signed_in(operator).get("/"))


def test_the_overview_says_what_is_wrong(admin: User) -> None:
    a_host("kvm-63", state=HostState.QUARANTINED)
    a_host("kvm-62", state=HostState.UNREACHABLE, error="no answer")
    a_datastore("files", total=100 * GIB, used=85 * GIB, free=15 * GIB)
    a_datastore("roomy", total=100 * GIB, used=80 * GIB)
    a_job(admin, title="Broken copy", state=JobState.FAILED, error="No space")
    a_job(admin, title="Half a move", state=JobState.INTERRUPTED)
    a_job(admin, title="New store", state=JobState.AWAITING)
    old = timezone.now() - timedelta(days=2)
    a_job(admin, title="Long ago", state=JobState.FAILED, created_at=old, ended_at=old)
    page = text_of(signed_in(admin).get("/")).split("Needs attention")[1].split("Running")[0]
    for words in ("kvm-63", "Compare the keys", "no answer", "files", "85 % used, 15 GiB free", "Broken copy",
                  "No space", "Half a move", "Resume or undo", "New store", "Look at the plan"):  # fmt: skip
        assert words in page, words
    assert "Long ago" not in page
    assert "roomy" not in page


def test_the_overview_counts(admin: User) -> None:
    a_datastore(total=1000 * GIB, used=250 * GIB)
    now = timezone.now()
    for milliseconds in range(10, 210, 10):
        a_job(admin, "disk.create", created_at=now - timedelta(milliseconds=milliseconds), ended_at=now)
    a_job(admin, "disk.create", state=JobState.FAILED)
    running = a_job(admin, title="Under way", state=JobState.RUNNING)
    a_step(running, state="changed", ended_at=now)
    a_step(running)
    page = text_of(signed_in(admin).get("/"))
    for words in ("250 GiB", "Used of 1000 GiB", "20 succeeded", "1 failed", "20 disks made", "0.2 s", "0.1 s",
                  "Under way", "1 of 2 steps"):  # fmt: skip
        assert words in page, words


@pytest.mark.parametrize(("percent", "expected"), [(50, 2.0), (95, 4.0), (1, 1.0), (100, 4.0)])
def test_percentiles(percent: int, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == expected
    assert percentile([], percent) is None


def test_a_tenant_sees_only_what_is_theirs(alice: User, bob: User, admin: User) -> None:
    image = an_image(bob, "secret-image")
    a_disk(image, a_vm(bob, "secret-vm"))
    a_job(bob, title="secret-job", state=JobState.RUNNING)
    a_job(admin, title="secret-failure", state=JobState.FAILED)
    client = signed_in(alice)
    for path in ("/", "/images/", "/vms/", "/jobs/", "/audit/", "/find/?q=secret", "/find/?q=h", "/images/register/"):
        page = text_of(client.get(path))
        assert "secret-" not in page, path
        assert str(image.datastore.hosts.get()) not in page or path == "/images/register/", path
    assert "no jobs running" in text_of(client.get("/"))


def test_finding(admin: User) -> None:
    image = an_image(admin, "golden")
    a_vm(admin, "golden-web")
    a_job(admin, title="Register golden")
    page = text_of(signed_in(admin).get("/find/?q=GOLD"))
    for words in (f"/images/{image.pk}/", "golden-web", "Register golden"):
        assert words in page
    assert "Nothing has that in its name" in text_of(signed_in(admin).get("/find/?q=zzz"))


# Lists


def images(admin: User, count: int) -> None:
    for _ in range(count):
        a_disk(an_image(admin))


def hosts(admin: User, count: int) -> None:
    for number in range(count):
        a_host(cluster=Cluster.objects.create(name=f"c{number}-{Cluster.objects.count()}"))


def datastores(admin: User, count: int) -> None:
    for _ in range(count):
        an_image(admin, datastore=a_datastore(total=10, used=1))


def jobs(admin: User, count: int) -> None:
    for _ in range(count):
        a_step(a_job(admin, "disk.create", state=JobState.RUNNING))


def machines(admin: User, count: int) -> None:
    image = an_image(admin)
    for _ in range(count):
        a_disk(image)


def people(admin: User, count: int) -> None:
    for _ in range(count):
        person(f"p{User.objects.count()}", "tenant")


def entries(admin: User, count: int) -> None:
    for _ in range(count):
        record("image.persistent", user=admin, target="x", after=True)


def credentials(admin: User, count: int) -> None:
    for _ in range(count):
        a_host(credential=a_credential())


def one_tree(admin: User, count: int) -> None:
    """Everything hangs on the image that is made first."""
    from datastores.models import Image

    image = Image.objects.order_by("pk").first() or an_image(admin, "root")
    for _ in range(count):
        a_disk(an_image(admin, parent=image))
        a_disk(image)


@pytest.mark.parametrize(
    ("path", "make"),
    [
        ("/", datastores), ("/", jobs), ("/images/", images), ("/hosts/", hosts), ("/clusters/", hosts),
        ("/datastores/", datastores), ("/jobs/", jobs), ("/vms/", machines), ("/users/", people), ("/audit/", entries),
        ("/credentials/", credentials), ("/images/{image}/", one_tree), ("/find/?q=image", images),
    ],
)  # fmt: skip
def test_more_rows_need_no_more_queries(admin: User, path: str, make: Any) -> None:
    from datastores.models import Image

    client = signed_in(admin)
    make(admin, 3)
    image = Image.objects.order_by("pk").first()
    url = path.format(image=image.pk if image else 0)
    client.get(url)
    with CaptureQueriesContext(connection) as few:
        assert client.get(url).status_code == 200
    make(admin, 27)
    with CaptureQueriesContext(connection) as many:
        client.get(url)
    assert len(many) == len(few), [query["sql"][:150] for query in many][-15:]


def test_sorting_and_paging_are_in_the_address(admin: User) -> None:
    for number in range(PAGE + 2):
        an_image(admin, f"i{number:03}")
    client = signed_in(admin)
    page = text_of(client.get("/images/?sort=name"))
    assert "i000" in page
    assert f"i{PAGE:03}" not in page
    assert f"1 to {PAGE} of {PAGE + 2}" in page
    assert "sort=name&amp;page=2" in page
    assert f"i{PAGE:03}" in text_of(client.get("/images/?sort=name&page=2"))
    assert f"i{PAGE + 1:03}" in text_of(client.get("/images/?sort=-name"))
    for nonsense in ("sort=owner__password", "page=99999", "page=x", "q=%00", "state=x&type=y"):
        assert client.get(f"/images/?{nonsense}").status_code == 200, nonsense


def test_a_search_that_finds_nothing_says_so_and_an_empty_list_teaches(admin: User) -> None:
    client = signed_in(admin)
    assert "No image yet" in text_of(client.get("/images/"))
    an_image(admin)
    assert "Nothing matches" in text_of(client.get("/images/?q=zzz"))


@pytest.mark.parametrize("path", ["hosts", "clusters", "credentials", "datastores", "images", "vms", "jobs", "audit"])
def test_empty_lists_say_what_belongs_there(admin: User, path: str) -> None:
    assert 'class="empty"' in text_of(signed_in(admin).get(f"/{path}/"))


# Errors


def test_a_refusal_returns_to_where_the_button_was(admin: User) -> None:
    vm = a_disk(an_image(admin)).vm
    client = signed_in(admin)
    back = "http://testserver/vms/?q=x"
    assert client.post(f"/vms/{vm.pk}/delete/", headers={"Referer": back}).url == back
    for referrer in ("https://evil.example/", "javascript:alert(1)", ""):
        assert client.post(f"/vms/{vm.pk}/delete/", headers={"Referer": referrer}).url == f"/vms/{vm.pk}/"


def test_a_refusal_of_a_partial_goes_to_the_messages(admin: User) -> None:
    vm = a_disk(an_image(admin)).vm
    response = signed_in(admin).post(f"/vms/{vm.pk}/delete/", headers={"HX-Request": "true"})
    assert response.status_code == 409
    assert response["HX-Retarget"] == "#messages"
    assert "still has 1 disks" in text_of(response)
    assert "<html" not in text_of(response)


def test_a_refusal_for_a_program_is_json(admin: User) -> None:
    vm = a_disk(an_image(admin)).vm
    response = signed_in(admin).post(f"/vms/{vm.pk}/delete/", headers={"Accept": "application/json"})
    assert (response.status_code, "still has 1 disks" in response.json()["error"]) == (409, True)


def test_pages_that_are_not_there_are_calm(admin: User) -> None:
    page = text_of(signed_in(admin).get("/nowhere/"))
    assert "There is no such page or object" in page


def test_a_role_that_may_not_is_told_who_may(operator: User) -> None:
    response = signed_in(operator).get("/users/")
    assert response.status_code == 403
    assert "An admin can change roles" in text_of(response)


# People


def test_signing_in_and_out(alice: User, client: Client) -> None:
    alice.set_password("a long password")
    alice.save()
    page = text_of(client.post("/login/", {"username": "alice", "password": "wrong"}))
    assert "not the name and password" in page
    sent = {"username": "alice", "password": "a long password", "next": "/vms/"}
    assert client.post("/login/", sent).url == "/vms/"
    assert client.post("/logout/").url == "/login/"
    assert client.get("/vms/").status_code == 302


def test_after_ten_wrong_passwords_a_clear_text(alice: User, client: Client, settings: Any) -> None:
    settings.AXES_ENABLED = True
    settings.AXES_LOCKOUT_TEMPLATE = "datastores/locked_out.html"
    for _ in range(django_settings.AXES_FAILURE_LIMIT):
        response = client.post("/login/", {"username": "alice", "password": "wrong"})
    assert response.status_code == 429
    assert "Too many attempts" in text_of(response)
    assert "900 seconds" in text_of(response)


def test_changing_ones_own_password(alice: User) -> None:
    alice.set_password("old password 1")
    alice.save()
    client = signed_in(alice)
    new = {"old_password": "old password 1", "new_password1": "correct horse", "new_password2": "correct horse"}
    assert "match" in text_of(client.post("/account/password/", new | {"new_password2": "x"}))
    client.post("/account/password/", new)
    assert client.get("/").status_code == 200
    alice.refresh_from_db()
    assert alice.check_password("correct horse")
    assert AuditEntry.objects.get(action="user.password").actor_name == "alice"
    assert "correct horse" not in str(AuditEntry.objects.get(action="user.password").detail)


def test_making_and_changing_people(admin: User) -> None:
    client = signed_in(admin)
    sent = {"username": "carol", "role": "tenant", "password": "short"}
    assert "too short" in text_of(client.post("/users/new/", sent))
    client.post("/users/new/", sent | {"password": "long enough password"})
    carol = User.objects.get(username="carol")
    assert carol.check_password("long enough password")
    client.post(f"/users/{carol.pk}/", {"username": "carol", "role": "operator"})
    carol.refresh_from_db()
    assert carol.role == "operator"
    entry = AuditEntry.objects.get(action="user.change")
    assert (entry.detail["before"]["role"], entry.detail["after"]["role"]) == ("tenant", "operator")


def test_deactivating_ends_the_session(admin: User, alice: User) -> None:
    session = signed_in(alice)
    client, url = signed_in(admin), f"/users/{alice.pk}/active/"
    assert "signed out everywhere" in text_of(client.post(url))
    client.post(url, {"confirm_name": "alice"})
    assert session.get("/").status_code == 302
    client.post(url)
    assert session.get("/").status_code == 200


def test_the_last_admin_stays(admin: User) -> None:
    client = signed_in(admin)
    page = text_of(client.post(f"/users/{admin.pk}/", {"username": "anna", "role": "tenant"}))
    assert "is the only admin" in page
    response = client.post(f"/users/{admin.pk}/active/", {"confirm_name": "anna"}, follow=True)
    assert "is the only admin" in text_of(response)
    admin.refresh_from_db()
    assert (admin.role, admin.is_active) == ("admin", True)


# Audit


def test_entries_are_sentences(admin: User) -> None:
    record("image.persistent", user=admin, target="Giunti-Data", result="done", before=False, after=True)
    record("image.rename", user=admin, target="x", result="done", before="old", after="new")
    record("image.clone", user=admin, target="default/copy")
    record("image.clone", user=admin, target="default/copy", result="succeeded")
    record("datastore.create.approve", user=admin, target="gold", result="approved")
    record("from.elsewhere", user=None, target="{before.__class__}")
    assert [sentence(entry) for entry in AuditEntry.objects.order_by("seq")] == [
        "made Giunti-Data persistent",
        "renamed the image old to new",
        "asked to clone image default/copy",
        "clone image default/copy: succeeded",
        "approved the plan of create datastore gold",
        "from.elsewhere {before.__class__}",
    ]


def test_the_trail_is_filtered(admin: User) -> None:
    job = a_job(admin)
    record("image.rename", user=admin, target="a", job=job, result="done", before="first-one", after="b")
    record("image.rename", user=admin, target="c", result="failed", before="second-one", after="d")
    client = signed_in(admin)
    today = timezone.localdate()
    for query, found, missing in (
        (f"job={job.uuid}", "first-one", "second-one"),
        ("result=failed", "second-one", "first-one"),
        (f"day={today}&q=rename a", "first-one", "second-oneX"),
    ):
        page = text_of(client.get(f"/audit/?{query}"))
        assert found in page, query
        assert missing not in page, query
    for query in ("day=2026-02-31", "day=x", "job=x", f"day={today - timedelta(days=1)}"):
        page = text_of(client.get(f"/audit/?{query}"))
        assert ("first-one" in page) == (query in {"day=2026-02-31", "day=x"}), query


def test_an_entry_shows_before_and_after(admin: User) -> None:
    entry = record("host.change", user=admin, target="kvm", result="done",
                   before={"name": "kvm", "cluster": ""}, after={"name": "kvm", "cluster": "Workers"})  # fmt: skip
    page = text_of(signed_in(admin).get(f"/audit/{entry.seq}/"))
    assert "<b>Workers</b>" in page
    assert "<b>kvm</b>" not in page.split("Before and after")[1]
    assert entry.seal in page


def test_the_chain_is_verified_on_demand(auditor: User) -> None:
    record("a.b", user=auditor)
    client = signed_in(auditor)
    assert "verified to entry" not in text_of(client.get("/audit/"))
    assert "verified to entry 1," in text_of(client.post("/audit/verify/", follow=True))
    AuditEntry.objects.filter(seq=1).update(target="forged")
    page = text_of(client.post("/audit/verify/", follow=True))
    assert "The chain is broken" in page
    assert "entry 1 was altered" in page


# Templates


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_need_no_inline_code_and_nothing_from_elsewhere(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=\"|javascript:|<script>|hx-on|hx-vals='js|//cdn|https?://", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_forms_that_post_carry_the_token(template: Path) -> None:
    for form in re.findall(r'<form[^>]*method="post".*?</form>', template.read_text(), re.DOTALL):
        assert "{% csrf_token %}" in form


def test_every_icon_is_in_the_font() -> None:
    known = set(re.findall(r"\.bi-([a-z0-9-]+)::before", (ROOT / "static/vendor/bootstrap-icons.css").read_text()))
    looks = [look.OBJECT_LOOK, look.HOST_LOOK, look.VM_LOOK, look.ROLE_LOOK, look.RESULT_LOOK, JOB_LOOK, STEP_LOOK]
    used = {icon for looking in looks for _, icon in looking.values()} | {look.UNKNOWN[1]}
    for source in [*TEMPLATES, *(ROOT / "datastores/web").rglob("*.py")]:
        text = re.sub(r"{%.*?%}", " ", source.read_text())
        used |= set(re.findall(r"bi bi-([a-z0-9-]+[a-z0-9])(?=[\s\"])", text))
    used |= set(re.findall(r'link\("[^"]+", "([a-z0-9-]+)"', (ROOT / "datastores/web/context.py").read_text()))
    assert used - known == set()
