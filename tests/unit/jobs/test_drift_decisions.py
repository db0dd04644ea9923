"""What people decide about drift: let exactly this be, or have it repaired after a look at the plan."""

from __future__ import annotations

import pytest

from datastores.domain.errors import Busy, Refused
from datastores.domain.states import JobState
from datastores.jobs import control
from datastores.jobs.submit import submit
from datastores.models import (
    AuditEntry,
    Drift,
    Host,
    Job,
    User,
)
from datastores.services.drift import accept, reopen
from tests.unit.conftest import a_drift
from tests.unit.jobs.conftest import work
from tests.unit.jobs.drifting import Site, scanned

pytestmark = pytest.mark.django_db(transaction=True)


class TestAcceptance:
    @pytest.fixture
    def differs(self, site: Site) -> Drift:
        site.base.chmod(0o700)
        scanned()
        return Drift.objects.get()

    def test_is_of_exactly_that_difference(self, site: Site, differs: Drift, admin: User) -> None:
        accept(differs, admin, fingerprint=differs.fingerprint, note="on purpose")
        assert scanned() == {}
        assert Drift.objects.get().state == Drift.State.ACCEPTED
        site.base.chmod(0o711)
        assert scanned() == {"fast": "differs"}
        row = Drift.objects.get()
        assert (row.accepted_by, row.accepted_at, row.note) == (None, None, "")

    def test_of_another_difference_than_was_seen_is_refused(self, site: Site, differs: Drift, admin: User) -> None:
        site.base.chmod(0o711)
        scanned()
        with pytest.raises(Refused, match="not as you saw it"):
            accept(differs, admin, fingerprint=differs.fingerprint, note="")
        assert Drift.objects.get().state == Drift.State.OPEN
        assert not AuditEntry.objects.filter(action="drift.accept").exists()

    def test_ends_when_the_statement_is_true_again(self, site: Site, differs: Drift, admin: User) -> None:
        accept(differs, admin, fingerprint=differs.fingerprint, note="")
        site.base.chmod(0o755)
        scanned()
        site.base.chmod(0o700)
        assert scanned() == {"fast": "differs"}

    def test_can_be_taken_back_once(self, differs: Drift, admin: User) -> None:
        accept(differs, admin, fingerprint=differs.fingerprint, note="")
        reopen(differs, admin)
        assert Drift.objects.get().state == Drift.State.OPEN
        with pytest.raises(Refused, match="not accepted any more"):
            reopen(differs, admin)


class TestRepair:
    @pytest.fixture
    def differs(self, site: Site) -> Drift:
        site.base.chmod(0o700)
        scanned()
        return Drift.objects.get()

    def asked(self, differs: Drift, user: User) -> Job:
        return submit("drift.repair", user=user, host=differs.host, params={"drift": differs.pk})

    def test_shows_its_plan_then_carries_out_that_step_alone(self, site: Site, differs: Drift, admin: User) -> None:
        foreign = site.base / "theirs"
        foreign.write_text("kept")
        job = work(self.asked(differs, admin))
        assert job.state == JobState.AWAITING
        assert list(job.steps.values_list("title", flat=True)) == [differs.title]
        assert site.base.stat().st_mode & 0o777 == 0o700
        control.approve(job, admin)
        assert work(job).state == JobState.SUCCEEDED, job.error
        assert site.base.stat().st_mode & 0o777 == 0o755
        assert foreign.read_text() == "kept"
        differs.refresh_from_db()
        assert differs.state == Drift.State.REPAIRED
        assert scanned() == {"fast": "foreign"}

    def test_can_be_taken_back(self, site: Site, differs: Drift, admin: User) -> None:
        job = work(self.asked(differs, admin))
        control.approve(job, admin)
        work(job)
        control.undo(job, admin)
        assert work(job).word == "undone"
        assert site.base.stat().st_mode & 0o777 == 0o700
        assert scanned() == {"fast": "differs"}

    def test_gives_the_file_of_an_image_its_mode_and_can_be_taken_back(self, site: Site, admin: User) -> None:
        file = site.file(site.image(admin))
        site.file(other := site.image(admin, "other")).chmod(0o777)
        file.chmod(0o777)
        scanned()
        job = work(self.asked(Drift.objects.get(label="gold"), admin))
        assert file.stat().st_mode & 0o7777 == 0o777, "it waits for a person"
        control.approve(job, admin)
        assert work(job).state == JobState.SUCCEEDED, job.error
        assert file.stat().st_mode & 0o7777 == 0o660
        assert site.file(other).stat().st_mode & 0o7777 == 0o777
        assert scanned() == {"other": "differs"}
        control.undo(job, admin)
        assert work(job).word == "undone"
        assert file.stat().st_mode & 0o7777 == 0o777
        assert scanned() == {"gold": "differs", "other": "differs"}

    def test_does_not_run_another_plan_than_was_seen(self, site: Site, differs: Drift, admin: User) -> None:
        job = work(self.asked(differs, admin))
        site.base.chmod(0o711)
        control.approve(job, admin)
        assert work(job).state == JobState.FAILED
        assert "the plan was approved. Nothing of this step was done." in job.error
        assert site.base.stat().st_mode & 0o777 == 0o711
        assert Drift.objects.get().state == Drift.State.OPEN

    def test_of_one_thing_is_asked_for_once(self, differs: Drift, admin: User) -> None:
        self.asked(differs, admin)
        with pytest.raises(Busy, match="Repair"):
            self.asked(differs, admin)

    def test_a_scan_does_not_judge_what_is_being_repaired(self, site: Site, differs: Drift, admin: User) -> None:
        self.asked(differs, admin)
        seen = differs.last_seen
        scanned()
        differs.refresh_from_db()
        assert differs.last_seen == seen

    def test_is_refused_where_no_step_helps_or_nothing_differs(self, site: Site, admin: User) -> None:
        for row in (a_drift(kind="missing", host=site.host), a_drift(state="gone", host=site.host)):
            with pytest.raises(Refused, match="nothing here that a step could put right"):
                self.asked(row, admin)
        with pytest.raises(Refused, match="Nobody keeps this statement true"):
            self.asked(a_drift(host=site.host), admin)

    def test_is_refused_on_a_host_that_cannot_be_used(self, differs: Drift, admin: User) -> None:
        Host.objects.update(maintenance=True)
        with pytest.raises(Refused, match="h1 is in maintenance"):
            self.asked(differs, admin)

    def test_is_not_for_tenants(self, differs: Drift, alice: User) -> None:
        with pytest.raises(Refused, match="tenant"):
            self.asked(differs, alice)
