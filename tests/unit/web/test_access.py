"""Every address, every role, GET and POST: one table says what is expected. A new address without a line fails."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from datastores.models import (
    AuditEntry,
    CachedCopy,
    DeletedImage,
    Host,
    HostKey,
    Image,
    Job,
    MovedDirectory,
    SavedView,
    Snapshot,
    User,
)
from datastores.models.audit import record
from tests.unit.conftest import (
    a_datastore,
    a_disk,
    a_drift,
    a_host,
    a_job,
    a_vm,
    an_alert,
    an_image,
    person,
    signed_in,
    text_of,
)

ROLES = ("admin", "operator", "tenant", "auditor")
A, O, T, U = ROLES  # noqa: E741 letters that make the table readable
EVERYBODY, READERS, STAFF, OWNERS, ADMINS = {A, O, T, U}, {A, O, U}, {A, O}, {A, O, T}, {A}
NOBODY: set[str] = set()

# name: (who may look, who may act). Nobody: the method is not there.
TABLE: dict[str, tuple[set[str], set[str]]] = {
    "overview": (EVERYBODY, NOBODY),
    "begin": (READERS, NOBODY),
    "begin-hide": (NOBODY, READERS),
    "find": (EVERYBODY, NOBODY),
    "view-save": (NOBODY, EVERYBODY),
    "view-delete": (NOBODY, EVERYBODY),
    "palette": (EVERYBODY, NOBODY),
    "password": (EVERYBODY, EVERYBODY),
    "host-list": (READERS, STAFF),
    "host-new": (ADMINS, ADMINS),
    "host": (READERS, NOBODY),
    "host-samples": (READERS, NOBODY),
    "host-edit": (STAFF, STAFF),
    "host-export": (ADMINS, ADMINS),
    "host-directory": (ADMINS, ADMINS),
    "host-directory-return": (NOBODY, ADMINS),
    "host-directory-forget": (NOBODY, ADMINS),
    "host-delete": (NOBODY, ADMINS),
    "host-scan": (NOBODY, ADMINS),
    "host-pin": (NOBODY, ADMINS),
    "host-onboard": (NOBODY, ADMINS),
    "host-read": (NOBODY, STAFF),
    "host-maintenance": (NOBODY, STAFF),
    "cluster-list": (READERS, NOBODY),
    "cluster-new": (STAFF, STAFF),
    "cluster-edit": (STAFF, STAFF),
    "cluster-delete": (NOBODY, STAFF),
    "credential-list": (ADMINS, NOBODY),
    "credential-new": (ADMINS, ADMINS),
    "credential-delete": (NOBODY, ADMINS),
    "drift-list": (READERS, STAFF),
    "drift": (READERS, NOBODY),
    "drift-scan": (NOBODY, STAFF),
    "drift-repair": (NOBODY, STAFF),
    "drift-accept": (NOBODY, STAFF),
    "drift-reopen": (NOBODY, STAFF),
    "datastore-list": (READERS, NOBODY),
    "datastore-new": (ADMINS, ADMINS),
    "datastore-options": (ADMINS, NOBODY),
    "datastore-bricks": (ADMINS, NOBODY),
    "datastore": (READERS, NOBODY),
    "datastore-samples": (READERS, NOBODY),
    "datastore-measure": (STAFF, STAFF),
    "datastore-speeds": (READERS, NOBODY),
    "advisor": (READERS, NOBODY),
    "image-deleted": (EVERYBODY, NOBODY),
    "image-restore": (NOBODY, OWNERS),
    "datastore-edit": (ADMINS, ADMINS),
    "datastore-hosts": (ADMINS, ADMINS),
    "datastore-limits": (ADMINS, ADMINS),
    "datastore-delete": (NOBODY, ADMINS),
    "datastore-luns": (READERS, NOBODY),
    "datastore-luns-find": (NOBODY, STAFF),
    "datastore-luns-try": (NOBODY, STAFF),
    "datastore-luns-guard": (NOBODY, ADMINS),
    "datastore-luns-pin": (NOBODY, ADMINS),
    "image-unpin": (NOBODY, OWNERS),
    "datastore-cache": (READERS, NOBODY),
    "datastore-cache-warm": (NOBODY, STAFF),
    "datastore-cache-again": (NOBODY, STAFF),
    "datastore-cache-evict": (NOBODY, STAFF),
    "datastore-volume": (READERS, NOBODY),
    "datastore-volume-read": (NOBODY, STAFF),
    "datastore-volume-heal": (NOBODY, ADMINS),
    "datastore-volume-add": (NOBODY, ADMINS),
    "datastore-volume-remove": (NOBODY, ADMINS),
    "datastore-volume-replace": (NOBODY, ADMINS),
    "datastore-volume-rebalance": (NOBODY, ADMINS),
    "datastore-volume-option": (NOBODY, ADMINS),
    "datastore-volume-quota": (NOBODY, ADMINS),
    "datastore-volume-unlimit": (NOBODY, ADMINS),
    "datastore-volume-give": (NOBODY, ADMINS),
    "datastore-volume-take": (NOBODY, ADMINS),
    "datastore-volume-choose": (NOBODY, ADMINS),
    "datastore-volume-stop": (NOBODY, ADMINS),
    "datastore-volume-start": (NOBODY, ADMINS),
    "image-list": (EVERYBODY, OWNERS),
    "image-register": (OWNERS, OWNERS),
    "image-block": (OWNERS, OWNERS),
    "image-context": (OWNERS, OWNERS),
    "image": (EVERYBODY, NOBODY),
    "image-disks": (NOBODY, OWNERS),
    "image-persistent": (NOBODY, OWNERS),
    "image-rename": (NOBODY, OWNERS),
    "image-clone": (NOBODY, OWNERS),
    "image-resize": (NOBODY, OWNERS),
    "image-move": (NOBODY, OWNERS),
    "image-checksum": (NOBODY, OWNERS),
    "image-delete": (NOBODY, OWNERS),
    "image-promote": (NOBODY, OWNERS),
    "snapshot-take": (NOBODY, OWNERS),
    "snapshot-revert": (NOBODY, OWNERS),
    "snapshot-delete": (NOBODY, OWNERS),
    "vm-list": (EVERYBODY, OWNERS),
    "vm-new": (OWNERS, OWNERS),
    "vm": (EVERYBODY, NOBODY),
    "vm-state": (NOBODY, OWNERS),
    "vm-disks": (NOBODY, OWNERS),
    "vm-blocks": (NOBODY, OWNERS),
    "vm-delete": (NOBODY, OWNERS),
    "disk-list": (EVERYBODY, OWNERS),
    "disk": (EVERYBODY, NOBODY),
    "disk-save": (NOBODY, OWNERS),
    "disk-resize": (NOBODY, OWNERS),
    "disk-give": (NOBODY, OWNERS),
    "disk-move": (NOBODY, OWNERS),
    "disk-place": (NOBODY, OWNERS),
    "disk-flatten": (NOBODY, OWNERS),
    "disk-reserve": (NOBODY, OWNERS),
    "disk-delete": (NOBODY, OWNERS),
    "job-list": (EVERYBODY, OWNERS),
    "job-tray": (EVERYBODY, NOBODY),
    "job": (EVERYBODY, NOBODY),
    "plan": (EVERYBODY, NOBODY),
    "job-lines": (EVERYBODY, NOBODY),
    "job-search": (EVERYBODY, NOBODY),
    "job-log": (EVERYBODY, NOBODY),
    "job-approve": (NOBODY, OWNERS),
    "job-cancel": (NOBODY, OWNERS),
    "job-begin": (NOBODY, OWNERS),
    "job-retry": (NOBODY, OWNERS),
    "job-undo": (NOBODY, OWNERS),
    "job-keep": (NOBODY, OWNERS),
    "job-plan-again": (NOBODY, OWNERS),
    "alert-list": (READERS, STAFF),
    "alert": (READERS, NOBODY),
    "alert-acknowledge": (NOBODY, STAFF),
    "alert-gone": (NOBODY, STAFF),
    "audit-list": (EVERYBODY, NOBODY),
    "audit-entry": (EVERYBODY, NOBODY),
    "audit-verify": (NOBODY, {A, U}),
    "queues": (ADMINS, NOBODY),
    "user-list": (ADMINS, NOBODY),
    "user-new": (ADMINS, ADMINS),
    "user-edit": (ADMINS, ADMINS),
    "user-active": (NOBODY, ADMINS),
    "user-password": (ADMINS, ADMINS),
    "settings": ({A, U}, NOBODY),
    "settings-approval": (ADMINS, ADMINS),
    "settings-section": (ADMINS, ADMINS),
    "settings-default": (NOBODY, ADMINS),
    "target-new": (ADMINS, ADMINS),
    "target-edit": (ADMINS, ADMINS),
    "target-test": (NOBODY, ADMINS),
    "target-delete": (NOBODY, ADMINS),
    "help-index": (EVERYBODY, NOBODY),
    "help": (EVERYBODY, NOBODY),
    "help-developers": (STAFF, NOBODY),
    "help-architecture": (STAFF, NOBODY),
}
PUBLIC = {"login", "logout", "healthz", "readyz", "metrics"}
"""Those that need nobody to be signed in."""
OWN = {"password", "view-save", "view-delete", "begin-hide"}
"""Changing one's own account, and what one keeps for oneself, is no change of the cloud."""
INSPECTION = {"audit-verify"}
"""Looking closely."""


def patterns(resolver: URLResolver | None = None) -> list[URLPattern]:
    found: list[URLPattern] = []
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLPattern):
            found.append(entry)
        else:
            found += patterns(entry)
    return found


@pytest.fixture
def people(db: None) -> dict[str, User]:
    return {role: person(role, role) for role in ROLES}


def arguments(owner: User, name: str) -> dict[str, Any]:
    """Make a row that belongs to ``owner`` and return what the address of ``name`` needs."""
    image = an_image(owner)
    vm = a_vm(owner)
    snapshot = Snapshot.objects.create(image=image, name="s1", state="ready")
    host = a_host()
    key = HostKey.objects.create(host=host, line="ssh-ed25519 AAAA", fingerprint="SHA256:x")
    entry = record("test", user=owner)
    known = {
        "pk": {"host": host.pk, "image": image.pk, "snapshot": image.pk, "vm": vm.pk, "disk": a_disk(image).pk,
               "datastore": image.datastore_id, "credential": host.credential_id, "user": owner.pk,
               "cluster": cluster(), "view": a_view(owner).pk, "alert": an_alert().pk,
               "target": target(), "drift": a_drift().pk},
        "section": "branding", "guide": "operators",
        "directory": a_directory(host).pk, "deleted": a_deleted_image(owner).pk,
        "copy": a_copy(image).pk,
        "key": key.pk, "snapshot": snapshot.pk, "uuid": a_job(owner).uuid, "seq": entry.seq,
    }  # fmt: skip
    pattern = next(each for each in patterns() if each.name == name)
    needed = pattern.pattern.converters
    return {each: known["pk"][name.partition("-")[0]] if each == "pk" else known[each] for each in needed}


def a_directory(host: Host) -> MovedDirectory:
    store = a_datastore(hosts=[host])
    return MovedDirectory.objects.create(
        host=host, datastore=store, path="/var/lib/one", target=f"{store.base}/one", kept="/var/lib/one.before"
    )


def a_deleted_image(owner: User) -> DeletedImage:
    pool = a_datastore(kind="ceph", options={"trash_days": 7})
    until = timezone.now() + timedelta(days=7)
    return DeletedImage.objects.create(uuid=uuid4(), name="gone", datastore=pool, owner=owner, type="OS", format="raw",
                                       virtual_size=1 << 30, until=until)  # fmt: skip


def a_copy(image: Image) -> CachedCopy:
    member = image.datastore.members.first()
    return CachedCopy.objects.create(member=member, image=image, uuid=image.uuid, held="0" * 16, made_by=image.uuid)


def a_view(owner: User) -> SavedView:
    return SavedView.objects.get_or_create(user=owner, list="images", name="mine", defaults={"query": "q=x"})[0]


def cluster() -> int:
    from datastores.models import Cluster

    return Cluster.objects.get_or_create(name="c1")[0].pk


def target() -> int:
    from datastores.models import NotificationTarget

    return NotificationTarget.objects.get_or_create(kind="webhook", address="http://127.0.0.1:1/")[0].pk


def expected(name: str, role: str, method: str) -> set[int]:
    look, act = TABLE[name]
    allowed = look if method == "get" else act
    if not allowed:
        return {405}
    return {200, 202, 302} if role in allowed else {403}


def test_every_address_has_a_line_in_the_table() -> None:
    assert {pattern.name for pattern in patterns()} == set(TABLE) | PUBLIC


def test_every_view_carries_its_rule() -> None:
    without = [each.name for each in patterns() if each.name not in PUBLIC and not hasattr(each.callback, "rule")]
    assert without == []


@pytest.mark.parametrize("name", sorted(TABLE))
def test_roles(name: str, people: dict[str, User], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datastores.services.hosts.scan", lambda host: [])
    for role, user in people.items():
        for method in ("get", "post"):
            url = reverse(name, kwargs=arguments(user, name))
            response = getattr(signed_in(user), method)(url)
            assert response.status_code in expected(name, role, method), (role, method, response.status_code)


def test_the_address_of_a_form_leads_back_to_its_page(people: dict[str, User]) -> None:
    image = an_image(people["admin"])
    page = text_of(signed_in(people["admin"]).get(f"/images/{image.pk}/move/"))
    assert "Nothing to see here" in page and f'href="/images/{image.pk}/"' in page


@pytest.mark.parametrize("name", sorted(TABLE))
def test_get_never_writes(name: str, people: dict[str, User], django_assert_max_num_queries: Any) -> None:
    user = people["admin"]
    url, client = reverse(name, kwargs=arguments(user, name)), signed_in(user)
    with django_assert_max_num_queries(60) as queries:
        client.get(url)
    wrote = [each["sql"] for each in queries if each["sql"].split()[0] in {"INSERT", "UPDATE", "DELETE"}]
    assert wrote == []


@pytest.mark.parametrize("name", sorted(set(TABLE) - OWN - INSPECTION))
def test_an_auditor_changes_nothing(name: str, people: dict[str, User]) -> None:
    kwargs = arguments(people["auditor"], name)
    entries = AuditEntry.objects.count()
    response = signed_in(people["auditor"]).post(reverse(name, kwargs=kwargs))
    assert response.status_code in {403, 405}
    assert AuditEntry.objects.count() == entries


OWNED = {"image", "snapshot", "vm", "disk", "job", "plan"}
OBJECTS = sorted(
    each.name for each in patterns() if each.name and each.pattern.converters and each.name.partition("-")[0] in OWNED
)
"""The addresses of things that have an owner."""


@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_not_mine_is_not_there(name: str, alice: User, bob: User) -> None:
    kwargs = arguments(alice, name)
    look, _ = TABLE[name]
    client = signed_in(bob)
    response = client.get(reverse(name, kwargs=kwargs)) if look else client.post(reverse(name, kwargs=kwargs))
    assert response.status_code == 404


@pytest.mark.parametrize("name", OBJECTS)
def test_an_unknown_object_looks_the_same_as_a_foreign_one(name: str, alice: User, bob: User) -> None:
    kwargs = arguments(alice, name)
    unknown = kwargs | {each: 10**9 for each in kwargs if each == "pk"}
    if "uuid" in kwargs:
        unknown["uuid"] = "00000000-0000-4000-8000-000000000000"
    client = signed_in(bob)
    method = client.get if TABLE[name][0] else client.post
    foreign, missing = (method(reverse(name, kwargs=each)) for each in (kwargs, unknown))
    assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_strangers_are_sent_to_sign_in(name: str, admin: User, client: Any) -> None:
    url = reverse(name, kwargs=arguments(admin, name))
    for response in (client.get(url), client.post(url)):
        assert response.status_code == 302
        assert response.url.startswith("/login/")


def test_a_deactivated_person_is_out_at_once(alice: User) -> None:
    client = signed_in(alice)
    assert client.get("/images/").status_code == 200
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert client.get("/images/").status_code == 302


@pytest.mark.parametrize("path", ["", "login/", "password_change/", "auth/group/add/", "django_rq/dashboard/"])
def test_nothing_is_changed_past_the_audit_trail(admin: User, path: str) -> None:
    User.objects.filter(pk=admin.pk).update(is_staff=True, is_superuser=True)
    client = signed_in(admin)
    assert client.get(f"/admin/{path}").status_code == client.post(f"/admin/{path}").status_code == 404


def test_forms_need_their_token(admin: User) -> None:
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    response = client.post("/clusters/new/", {"name": "c1"})
    assert response.status_code == 403
    assert "Send it again" in response.content.decode()


def test_pages_carry_the_policy(admin: User) -> None:
    policy = signed_in(admin).get("/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_program_that_is_not_signed_in_gets_no_page(client: Any) -> None:
    response = client.get("/jobs/", headers={"Accept": "application/json"}, follow=True)
    assert response.status_code == 401
    assert response.json() == {"error": "Sign in first."}


def test_a_partial_of_an_ended_session_reloads_the_page(client: Any) -> None:
    response = client.get("/images/?row=1", headers={"HX-Request": "true"}, follow=True)
    assert response["HX-Refresh"] == "true"
    assert response.content == b""


def test_jobs_are_hidden_in_every_transport(alice: User, bob: User) -> None:
    job: Job = a_job(alice)
    for path in ("", "plan/", "lines/?first=1&count=5", "search/?q=a", "log.txt"):
        assert signed_in(bob).get(f"/jobs/{job.uuid}/{path}").status_code == 404, path
