"""NFS exports of a host: what is dangerous about them is said, and a line is rewritten after a look at the plan."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from datastores.domain.errors import BadInput, Refused
from datastores.hosts.exports import ExportRewritten
from datastores.hosts.facts import HostFacts
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Host, Job, User
from datastores.services.exports import ExportChange, judged, remember_line, rewritten
from tests.unit.conftest import a_datastore, a_host, signed_in, text_of
from tests.unit.hosts.test_facts import facts, recorded

pytestmark = pytest.mark.django_db
STRAY, MEANT = "/storage 10.0.0.0/24 (rw,no_root_squash)", "/storage 10.0.0.0/24(rw,no_root_squash)"
OURS = "/srv/images 10.0.0.2(rw,sync,no_root_squash,no_subtree_check)"


@pytest.fixture
def host() -> Host:
    """A host with a stray blank in /etc/exports, and a datastore of cloudstore's own."""
    return a_host("h1", facts=facts(recorded("12")).to_json())


def address(host: Host, path: str = "/storage", file: str = "/etc/exports") -> str:
    return f"/hosts/{host.pk}/exports/?{urlencode({'file': file, 'path': path})}"


def rewrite(user: User, host: Host, line: str, before: str = STRAY) -> str:
    return text_of(signed_in(user).post(address(host), {"line": line, "before": before}, follow=True))


def test_the_page_of_a_host_says_what_is_dangerous_about_its_exports(host: Host, admin: User) -> None:
    page = text_of(signed_in(admin).get(f"/hosts/{host.pk}/"))
    assert STRAY in page and OURS in page
    assert "The blank before the bracket exports /storage to everybody" in page
    assert page.count("Rewrite the export of") == 1, "the line of a datastore is changed with the datastore"


def test_a_host_without_exports_has_no_such_card(admin: User) -> None:
    host = a_host(facts=facts(recorded("13")).to_json())
    assert "NFS exports" not in text_of(signed_in(admin).get(f"/hosts/{host.pk}/"))


def test_the_line_is_offered_as_it_was_probably_meant(host: Host, admin: User) -> None:
    page = text_of(signed_in(admin).get(address(host)))
    assert f'value="{MEANT}"' in page and STRAY in page


def test_fsid_0_is_refused_where_clients_would_lose_a_datastore(host: Host, admin: User) -> None:
    params = {"file": "/etc/exports", "before": STRAY, "after": "/storage 10.0.0.0/24(rw,fsid=0)"}
    store = a_datastore(hosts=[host], kind="nfs", base="/srv/images")
    with pytest.raises(Refused, match="not find /srv/images any more"):
        submit("export.change", user=admin, host=host, params=dict(params))
    store.delete()
    assert submit("export.change", user=admin, host=host, params=params)


def test_a_rewritten_line_waits_with_its_plan_and_is_known_at_once_when_it_is_done(host: Host, admin: User) -> None:
    rewrite(admin, host, MEANT)
    job = Job.objects.get(kind="export.change")
    (stage,) = ExportChange().plan(job)
    assert stage.steps == (ExportRewritten("h1", "/etc/exports", STRAY, MEANT),)
    assert job.title == "Change the export of /storage on h1"
    ExportChange().succeeded(job, ())
    host.refresh_from_db()
    assert [each.text for each in judged(HostFacts.from_json(host.facts).exports)] == [MEANT, OURS]
    ExportChange().undone(job)
    host.refresh_from_db()
    assert judged(HostFacts.from_json(host.facts).exports)[0].text == STRAY


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/storage 10.0.0.0/24 (rw)", "exports /storage to everybody"),
        ("/storage *(rw)", "exports /storage to everybody"),
        ("/storage", "exported to everybody"),
        ("/etc 10.0.0.0/24(rw)", "it cannot be made one about /etc"),
        ("/storage 10.0.0.0/24(rw", "does not take this line"),
        ("/storage 10.0.0.0/24(rw,no_rootsquash)", "knows no option"),
        ("# /storage", "An export is one line"),
        (STRAY.replace(" (", "(").replace("rw,no_root_squash", "rw)\n/etc *(rw"), "one line|control"),
    ],
)
def test_lines_that_let_everybody_in_or_are_none_are_refused(host: Host, admin: User, line: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        submit("export.change", user=admin, host=host, params={"file": "/etc/exports", "before": STRAY, "after": line})
    assert not Job.objects.exists()


def test_a_form_with_such_a_line_says_so_and_keeps_what_was_typed(host: Host, admin: User) -> None:
    page = rewrite(admin, host, "/storage *(rw)")
    assert "exports /storage to everybody" in page and 'value="/storage *(rw)"' in page


def test_the_file_of_a_datastore_is_not_rewritten(host: Host, admin: User) -> None:
    params = {"file": "/etc/exports.d/cloudstore-srv-images.exports", "before": OURS, "after": f"{OURS} h3(ro)"}
    with pytest.raises(Refused, match="belongs to a datastore"):
        submit("export.change", user=admin, host=host, params=params)


@pytest.mark.parametrize("query", ["", "?file=/etc/exports", "?file=/etc/shadow&path=/storage"])
def test_an_entry_that_is_not_there_leads_back_to_the_host(host: Host, admin: User, query: str) -> None:
    page = text_of(signed_in(admin).get(f"/hosts/{host.pk}/exports/{query}", follow=True))
    assert "had no such export" in page and "NFS exports" in page


def test_only_admins_rewrite(host: Host, operator: User, alice: User) -> None:
    assert signed_in(operator).get(address(host)).status_code == 403
    assert signed_in(alice).get(address(host)).status_code in {403, 404}
    assert "Rewrite the export" not in text_of(signed_in(operator).get(f"/hosts/{host.pk}/"))
    assert KINDS["export.change"].roles == {User.Role.ADMIN}


def test_other_files_stay_as_they_are_known(host: Host) -> None:
    job: Any = Job(host=host, params={"file": "/etc/exports.d/x.exports"})
    remember_line(job, STRAY, MEANT)
    host.refresh_from_db()
    assert STRAY in HostFacts.from_json(host.facts).exports[0].text


def test_a_comment_that_holds_the_same_words_stays_as_it_is_known() -> None:
    files = [{"path": "/etc/exports", "text": f"# {STRAY}\n{STRAY}"}]
    assert list(rewritten(files, "/etc/exports", STRAY, MEANT)) == [
        {"path": "/etc/exports", "text": f"# {STRAY}\n{MEANT}"}
    ]
