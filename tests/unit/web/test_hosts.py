"""Hosts, clusters and credentials."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.utils import timezone

from datastores.domain.errors import NotConnected
from datastores.domain.states import HostState, JobState
from datastores.hosts.facts import HostFacts
from datastores.jobs.submit import submit
from datastores.models import AuditEntry, Cluster, Credential, Datastore, Host, HostKey, Job, User
from datastores.transport.keys import generate_key
from tests.unit.conftest import (
    a_credential,
    a_datastore,
    a_disk,
    a_host,
    a_job,
    an_image,
    before_the_turn,
    person,
    signed_in,
    text_of,
)

NEW = {"name": "kvm-07", "address": "192.168.1.7", "port": 22, "account": "root", "how": "own"}


def a_key(host: Host, fingerprint: str = "SHA256:abc", **fields: Any) -> HostKey:
    return HostKey.objects.create(host=host, line="ssh-ed25519 AAAA", fingerprint=fingerprint, **fields)


def test_the_first_host_is_known_by_cloudstores_own_key(admin: User) -> None:
    response = signed_in(admin).post("/hosts/new/", NEW | {"first_password": "hunter2"})
    host = Host.objects.get()
    assert response.url == f"/hosts/{host.pk}/"
    assert (host.name, host.state, host.credential.name, host.first_password) == (
        "kvm-07",
        "new",
        "cloudstore",
        "hunter2",
    )
    page = text_of(signed_in(admin).get(f"/hosts/{host.pk}/"))
    assert host.credential.public_key in page
    assert "hunter2" not in page
    assert host.credential.private_key[:60] not in page


def test_adding_a_host_is_audited_without_secrets(admin: User) -> None:
    signed_in(admin).post("/hosts/new/", NEW | {"first_password": "hunter2"})
    entry = AuditEntry.objects.get(action="host.create")
    assert entry.target == "kvm-07"
    assert entry.detail["after"]["address"] == "192.168.1.7"
    assert "hunter2" not in str(entry.detail)


def test_looking_at_the_form_makes_no_key(admin: User) -> None:
    assert signed_in(admin).get("/hosts/new/").status_code == 200
    assert not Credential.objects.exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"address": "-oProxyCommand=id"}, "neither a host name nor an IP address"),
        ({"address": "10.0.0"}, "not an IP address in its usual form"),
        ({"name": "a b"}, "neither a host name"),
        ({"account": "Root"}, "is not an account name"),
        ({"account": "-l"}, "is not an account name"),
        ({"port": 70000}, "less than or equal to 65535"),
        ({"how": "stored"}, "Choose the key."),
        ({"how": "pasted"}, "Paste the private key."),
        ({"how": "pasted", "private_key": "nonsense"}, "cannot be read"),
        ({"address": "10.9.9.9"}, "other has this address and port already"),
    ],
)
def test_what_is_wrong_is_said_at_the_field(admin: User, fields: dict[str, Any], words: str) -> None:
    a_host("other", address="10.9.9.9")
    assert words in text_of(signed_in(admin).post("/hosts/new/", NEW | fields))
    assert Host.objects.count() == 1
    assert not Credential.objects.exclude(use_agent=True).exists()


def test_a_pasted_key_is_stored_for_the_host(admin: User) -> None:
    private, public = generate_key()
    signed_in(admin).post("/hosts/new/", NEW | {"how": "pasted", "private_key": private})
    credential = Host.objects.get().credential
    assert (credential.name, credential.public_key.split()[1]) == ("key for kvm-07", public.split()[1])


def test_an_agent_and_a_stored_key_can_be_used(admin: User) -> None:
    client, stored = signed_in(admin), a_credential(name="stored")
    client.post("/hosts/new/", NEW | {"how": "agent"})
    client.post("/hosts/new/", NEW | {"how": "stored", "credential": stored.pk, "name": "b", "address": "10.0.0.2"})
    first, second = Host.objects.order_by("pk")
    assert first.credential.use_agent
    assert second.credential == stored


def test_jump_hosts_form_no_circle(admin: User) -> None:
    first = a_host("a", credential=a_credential(name="k"))
    second = a_host("b", jump=first)
    sent = NEW | {"name": "a", "address": first.address, "how": "stored", "credential": first.credential_id}
    page = text_of(signed_in(admin).post(f"/hosts/{first.pk}/edit/", sent | {"jump": second.pk, "version": 0}))
    assert "The jump hosts form a circle" in page
    first.refresh_from_db()
    assert first.jump is None


def test_an_operator_changes_the_place_and_nothing_about_the_way(operator: User) -> None:
    host, cluster = a_host("a", address="10.0.0.1"), Cluster.objects.create(name="c")
    sent = NEW | {"cluster": cluster.pk, "address": "10.6.6.6", "account": "evil", "version": 0}
    signed_in(operator).post(f"/hosts/{host.pk}/edit/", sent)
    host.refresh_from_db()
    assert (host.cluster, host.address, host.account, host.name) == (cluster, "10.0.0.1", "root", "a")


class TestChangingAHost:
    @pytest.fixture
    def host(self, admin: User) -> Host:
        return a_host("a", first_password="hunter2", credential=a_credential(name="k"))

    def edit(self, host: Host, user: User, **fields: Any) -> str:
        """Send the form as the person sees it, but for these fields; return the page that follows."""
        shown = {"name": host.name, "address": host.address, "port": host.port, "account": host.account,
                 "how": "stored", "credential": host.credential_id, "version": host.version}  # fmt: skip
        return text_of(signed_in(user).post(f"/hosts/{host.pk}/edit/", shown | fields, follow=True))

    def test_the_form_says_which_version_it_shows(self, host: Host, admin: User, operator: User) -> None:
        Host.objects.update(version=7)
        for user in (admin, operator):
            page = text_of(signed_in(user).get(f"/hosts/{host.pk}/edit/"))
            assert '<input type="hidden" name="version" value="7"' in page

    @pytest.mark.parametrize("role", ["admin", "operator"])
    def test_what_is_found_out_while_it_waits_for_its_turn_stays(
        self, host: Host, role: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cluster = Cluster.objects.create(name="c")
        found = {"state": HostState.QUARANTINED, "error": "another key", "first_password": "", "facts": {"os": "new"}}
        before_the_turn(monkeypatch, "datastores.web.views.hosts", lambda: Host.objects.update(**found))
        page = self.edit(host, person(role, role), cluster=cluster.pk)
        assert "a is saved." in page
        assert Host.objects.filter(cluster=cluster, version=1, **found).exists()

    def test_a_change_that_somebody_else_made_meanwhile_is_not_lost(
        self, host: Host, admin: User, operator: User
    ) -> None:
        cluster = Cluster.objects.create(name="c")
        self.edit(host, operator, cluster=cluster.pk)
        page = self.edit(host, admin, address="10.1.1.1")
        assert re.search(r"a was changed by olga on .+ \(cluster: none → c\)\. Load the page again", page)
        assert f'<a href="/hosts/{host.pk}/edit/">Load the page again</a>' in page
        host.refresh_from_db()
        assert (host.cluster, host.address == "10.1.1.1") == (cluster, False)
        assert AuditEntry.objects.filter(action="host.change").count() == 1

    def test_a_key_pasted_for_a_change_that_is_refused_is_not_kept(self, host: Host, admin: User) -> None:
        private, _ = generate_key()
        self.edit(host, admin, how="pasted", private_key=private, version=5)
        assert not Credential.objects.filter(name__startswith="key for").exists()

    def test_a_password_is_stored_only_when_it_is_given(self, host: Host, admin: User) -> None:
        self.edit(host, admin)
        host.refresh_from_db()
        assert host.first_password == "hunter2"
        self.edit(host, admin, first_password="another")
        host.refresh_from_db()
        assert host.first_password == "another"

    def test_a_circle_of_jump_hosts_made_meanwhile_is_seen(
        self, host: Host, admin: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = a_host("b")
        before_the_turn(
            monkeypatch, "datastores.web.views.hosts", lambda: Host.objects.filter(pk=other.pk).update(jump=host)
        )
        assert "The jump hosts form a circle" in self.edit(host, admin, jump=other.pk)


class TestAHostAtWork:
    """Jobs know a host by its name, from their submission to their end."""

    @pytest.fixture
    def host(self, admin: User) -> Host:
        host = a_host("a")
        a_key(host, pinned_at=timezone.now())
        return host

    def rename(self, host: Host, admin: User) -> str:
        sent = NEW | {"name": "b", "address": host.address, "how": "agent", "version": host.version}
        return text_of(signed_in(admin).post(f"/hosts/{host.pk}/edit/", sent, follow=True))

    def delete(self, host: Host, admin: User) -> str:
        return text_of(signed_in(admin).post(f"/hosts/{host.pk}/delete/", {"confirm_name": "a"}, follow=True))

    def test_it_is_neither_renamed_nor_deleted_while_it_is_read(self, host: Host, admin: User) -> None:
        job = submit("host.read", user=admin, host=host)
        assert f"a cannot be renamed now: job {job.pk} (Read a) works on it." in self.rename(host, admin)
        assert f"a cannot be deleted now: job {job.pk} (Read a) works on it." in self.delete(host, admin)
        assert Host.objects.get().name == "a"
        Job.objects.update(state=JobState.SUCCEEDED, ended_at=timezone.now())
        self.rename(host, admin)
        assert Host.objects.get().name == "b"

    def test_its_place_may_be_changed_meanwhile(self, host: Host, admin: User, operator: User) -> None:
        submit("host.read", user=admin, host=host)
        cluster = Cluster.objects.create(name="c")
        signed_in(operator).post(f"/hosts/{host.pk}/edit/", {"cluster": cluster.pk, "version": 0})
        assert Host.objects.get().cluster == cluster

    @pytest.mark.parametrize("kind", ["image.checksum", "disk.delete", "datastore.delete", "image.clone"])
    def test_it_keeps_its_name_while_a_job_works_on_what_is_stored_there(
        self, host: Host, admin: User, kind: str
    ) -> None:
        datastore = a_datastore("gold", hosts=[a_host("storage"), host])
        image = an_image(admin, datastore=datastore)
        targets: dict[str, Any] = {
            "image.checksum": lambda: {"image": image},
            "disk.delete": lambda: {"disk": a_disk(image)},
            "datastore.delete": lambda: {"datastore": empty(datastore)},
            "image.clone": lambda: {"params": {"name": "copy", "source": image.pk}},
        }[kind]()
        submit(kind, user=admin, **targets)
        assert "a cannot be renamed now" in self.rename(host, admin)

    def test_jobs_elsewhere_do_not_hold_it(self, host: Host, admin: User) -> None:
        submit("image.checksum", user=admin, image=an_image(admin))
        self.rename(host, admin)
        assert Host.objects.get(pk=host.pk).name == "b"


def empty(datastore: Datastore) -> Datastore:
    datastore.images.all().delete()
    return datastore


def test_scanning_remembers_what_was_offered(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    host = a_host(state=HostState.NEW)
    monkeypatch.setattr("datastores.services.hosts.scan", lambda host: [a_key(host)])
    page = text_of(signed_in(admin).post(f"/hosts/{host.pk}/scan/", follow=True))
    assert "SHA256:abc" in page
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in page
    assert "Onboard" not in page.replace("Ready to onboard", "")


def test_a_host_that_does_not_answer_says_so_on_its_page(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    host = a_host(state=HostState.NEW)

    def nobody(host: Host) -> list[HostKey]:
        raise NotConnected("10.0.0.1 did not answer within 5 s.")

    monkeypatch.setattr("datastores.services.hosts.scan", nobody)
    response = signed_in(admin).post(f"/hosts/{host.pk}/scan/", follow=True)
    assert response.redirect_chain == [(f"/hosts/{host.pk}/", 302)]
    assert "did not answer within 5 s" in text_of(response)


class TestTheFirstReading:
    """It is the onboarding, and an admin's to ask for."""

    @pytest.fixture(params=[HostState.NEW, HostState.UNREACHABLE])
    def host(self, request: pytest.FixtureRequest, admin: User) -> Host:
        """A host on which no key was installed yet; unreachable: its password was wrong."""
        host = a_host("kvm", state=request.param, facts_at=None, first_password="hunter2")
        a_key(host, pinned_at=timezone.now())
        return host

    def test_after_it_failed_the_page_says_what_to_do(self, host: Host, admin: User) -> None:
        page = text_of(signed_in(admin).get(f"/hosts/{host.pk}/"))
        assert "Ready to onboard." in page
        a_job(admin, "host.onboard", host=host, state=JobState.FAILED, error="It refused the account root.")
        page = text_of(signed_in(admin).get(f"/hosts/{host.pk}/"))
        assert "It could not be onboarded." in page and "or the password if that was refused" in page
        assert f'<a href="/hosts/{host.pk}/edit/">Edit</a> its account' in page
        assert "Ready to onboard." not in page and f'action="/hosts/{host.pk}/onboard/"' in page

    def test_reading_it_is_refused(self, host: Host, operator: User) -> None:
        response = signed_in(operator).post(f"/hosts/{host.pk}/read/", follow=True)
        assert "kvm has not been onboarded yet" in text_of(response)
        assert not Job.objects.exists()

    def test_an_admin_is_offered_its_onboarding_and_nobody_its_reading(
        self, host: Host, admin: User, operator: User
    ) -> None:
        pages = [text_of(signed_in(user).get(f"/hosts/{host.pk}/")) for user in (admin, operator)]
        assert [f"/hosts/{host.pk}/onboard/" in page for page in pages] == [True, False]
        assert not any(f"/hosts/{host.pk}/read/" in page for page in pages)

    def test_pinning_another_key_does_not_read_it(self, host: Host, admin: User) -> None:
        key = a_key(host, "SHA256:new")
        signed_in(admin).post(f"/hosts/{host.pk}/pin/{key.pk}/")
        expected = [] if host.state == HostState.NEW else ["host.onboard"]
        assert list(Job.objects.values_list("kind", flat=True)) == expected


def test_a_host_that_got_a_new_password_is_onboarded_again(admin: User) -> None:
    host = a_host("kvm", first_password="hunter2")
    a_key(host, pinned_at=timezone.now())
    assert f"/hosts/{host.pk}/onboard/" in text_of(signed_in(admin).get(f"/hosts/{host.pk}/"))
    assert host.wants_onboarding


def test_pinning_then_onboarding(admin: User) -> None:
    host = a_host(state=HostState.NEW)
    key = a_key(host)
    client = signed_in(admin)
    assert "Onboard" in text_of(client.post(f"/hosts/{host.pk}/pin/{key.pk}/", follow=True))
    key.refresh_from_db()
    assert key.pinned_by == admin
    response = client.post(f"/hosts/{host.pk}/onboard/")
    assert response.url == Job.objects.get(kind="host.onboard").get_absolute_url()


@pytest.mark.parametrize("state", [HostState.QUARANTINED, HostState.UNREACHABLE])
def test_a_host_whose_new_key_is_pinned_is_read(admin: User, state: HostState) -> None:
    host = a_host(state=state, error="The old key changed.")
    key = a_key(host)
    page = text_of(signed_in(admin).post(f"/hosts/{host.pk}/pin/{key.pk}/", follow=True))
    assert "Its key was pinned, and it has not been read since." in page
    assert "The old key changed." not in page
    assert Job.objects.get().kind == "host.read"


def test_a_key_of_another_host_cannot_be_pinned(admin: User) -> None:
    host, key = a_host(), a_key(a_host())
    assert signed_in(admin).post(f"/hosts/{host.pk}/pin/{key.pk}/").status_code == 404


def test_onboarding_needs_a_pinned_key(admin: User) -> None:
    host = a_host(state=HostState.NEW)
    response = signed_in(admin).post(f"/hosts/{host.pk}/onboard/", follow=True)
    assert "Compare its fingerprint and pin it first" in text_of(response)


def test_a_quarantined_host_shows_both_fingerprints(admin: User, operator: User) -> None:
    host = a_host(state=HostState.QUARANTINED, error="The key changed.")
    a_key(host, "SHA256:old", pinned_at="2026-01-01T00:00Z", pinned_by=admin)
    a_key(host, "SHA256:new")
    page = text_of(signed_in(admin).get(f"/hosts/{host.pk}/"))
    for words in ("SHA256:old", "SHA256:new", "compare before anything else", "Pin</button>"):
        assert words in page
    assert "Pin</button>" not in text_of(signed_in(operator).get(f"/hosts/{host.pk}/"))


def test_maintenance_is_switched(operator: User) -> None:
    host, client = a_host(), signed_in(operator)
    for on, sent in ((True, {"on": "1"}), (False, {})):
        client.post(f"/hosts/{host.pk}/maintenance/", sent)
        host.refresh_from_db()
        assert host.maintenance is on


def test_a_host_in_use_is_not_deleted(admin: User) -> None:
    host = a_datastore("gold").hosts.get()
    response = signed_in(admin).post(f"/hosts/{host.pk}/delete/", {"confirm_name": host.name}, follow=True)
    assert "belongs to the datastores gold" in text_of(response)
    assert Host.objects.exists()


def test_a_jump_host_is_not_deleted(admin: User) -> None:
    host = a_host("bastion")
    a_host("inner", jump=host)
    response = signed_in(admin).post(f"/hosts/{host.pk}/delete/", {"confirm_name": "bastion"}, follow=True)
    assert "is the jump host of inner" in text_of(response)
    assert not AuditEntry.objects.filter(action="host.delete").exists()


def test_a_host_goes_with_its_keys(admin: User) -> None:
    host = a_host("old")
    a_key(host)
    signed_in(admin).post(f"/hosts/{host.pk}/delete/", {"confirm_name": "old"})
    assert not Host.objects.exists()
    assert AuditEntry.objects.get(action="host.delete").target == "old"


def facts(**fields: Any) -> dict[str, Any]:
    """What a small host says of itself, as it is stored."""
    plain = {
        "name": "kvm", "os": "debian", "os_version": "12", "os_title": "Debian GNU/Linux 12", "kernel": "6.1.0",
        "architecture": "x86_64", "machine_id": "1", "rights": "root", "clock": 1.0, "heard": 1.0, "booted": 1,
        "cpu_model": "EPYC", "cpu_count": 8, "cpu_flags": ["svm"], "kvm": True, "memory": 1 << 34,
        "memory_available": 1 << 33,
        "nics": [{"name": "eno1", "mac": "02:00:00:00:00:01", "state": "UP", "physical": True, "speed": 1000,
                  "addresses": ["10.0.0.1/24"]}],
        "disks": [{"name": "sda", "size": 1 << 40, "model": "ST4000", "transport": "sas", "rotational": True,
                   "in_use": True}],
        "exports": [{"path": "/etc/exports", "text": "/storage 10.0.0.0/24 (rw,no_root_squash)"}],
        "arrays": [{"name": "md0", "level": "raid1", "state": "active", "degraded": True, "spares": 0}],
        "file_systems": [{"target": "/srv", "source": "/dev/md0", "fstype": "xfs", "options": "rw", "size": 1 << 40,
                          "used": 1, "available": 1 << 39, "clones": True}],
        "tools": [{"name": "qemu-img", "version": "7.2"}],
        "accounts": [{"name": "oneadmin", "uid": 1001, "gid": 1001, "home": "/", "shell": "/bin/sh"}],
        "groups": [{"name": "cloud", "gid": 1001, "members": []}], "problems": ["arrays: no answer"],
    } | fields  # fmt: skip
    assert HostFacts.from_json(plain).name == "kvm"
    return plain


def test_the_page_tells_what_is_known(admin: User) -> None:
    host = a_host(account="cloudstore", facts=facts(rights="no sudo without a password"), clock_skew=-3.5)
    page = text_of(signed_in(admin).get(f"/hosts/{host.pk}/"))
    for words in ("Debian GNU/Linux 12", "6.1.0", "EPYC", "16 GiB", "10.0.0.1/24", "ST4000", "/srv", "qemu-img",
                  "uid 1001", "group 1001", "3.5 s behind ours", "md0 is degraded", "has no hot spare",
                  "arrays: no answer", "cannot become root there", "/etc/sudoers.d/cloudstore-cloudstore",
                  "cloudstore ALL=(root) NOPASSWD:"):  # fmt: skip
        assert words in page, words


def test_facts_of_another_version_do_not_break_the_page(admin: User) -> None:
    host = a_host(facts={"os": "debian"})
    a_key(host, pinned_at="2026-01-01T00:00Z")
    assert "by another version of cloudstore" in text_of(signed_in(admin).get(f"/hosts/{host.pk}/"))
    assert signed_in(admin).get("/hosts/").status_code == 200


# Clusters and credentials


def test_a_cluster_is_made_changed_and_deleted(operator: User) -> None:
    client = signed_in(operator)
    client.post("/clusters/new/", {"name": "lab"})
    cluster = Cluster.objects.get()
    client.post(f"/clusters/{cluster.pk}/edit/", {"name": "lab", "description": "three hosts", "version": 0})
    assert AuditEntry.objects.get(action="cluster.change").detail["after"]["description"] == "three hosts"
    assert "already exists" in text_of(client.post("/clusters/new/", {"name": "lab"}))
    client.post(f"/clusters/{cluster.pk}/delete/", {"confirm_name": "lab"})
    assert not Cluster.objects.exists()


def test_a_cluster_with_hosts_stays(operator: User) -> None:
    cluster = Cluster.objects.create(name="lab")
    a_host("kvm", cluster=cluster)
    response = signed_in(operator).post(f"/clusters/{cluster.pk}/delete/", {"confirm_name": "lab"}, follow=True)
    assert "lab still holds kvm" in text_of(response)
    assert not AuditEntry.objects.filter(action="cluster.delete").exists()


def test_a_stored_key_is_never_shown_again(admin: User) -> None:
    private, public = generate_key()
    client = signed_in(admin)
    client.post("/credentials/new/", {"name": "ops", "private_key": private})
    page = text_of(client.get("/credentials/"))
    assert public.split()[1][:40] in page
    assert private.splitlines()[1] not in page
    assert private.splitlines()[1] not in str(AuditEntry.objects.get().detail)


def test_a_wrong_key_is_not_shown_again_either(admin: User) -> None:
    page = text_of(
        signed_in(admin).post("/credentials/new/", {"name": "x", "private_key": "k", "passphrase": "hunter2"})
    )
    assert "cannot be read" in page
    assert "hunter2" not in page


def test_a_key_in_use_is_not_deleted(admin: User) -> None:
    host = a_host("kvm", credential=a_credential(name="ops"))
    client, url = signed_in(admin), f"/credentials/{host.credential_id}/delete/"
    assert "logs in to kvm with ops" in text_of(client.post(url, {"confirm_name": "ops"}, follow=True))
    Host.objects.all().delete()
    client.post(url, {"confirm_name": "ops"})
    assert not Credential.objects.exists()
