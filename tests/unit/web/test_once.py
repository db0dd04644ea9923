"""A form that is sent twice is carried out once, whatever sends it again."""

from __future__ import annotations

import logging
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue

from cloudstore.processes import redis_server
from datastores.domain.states import ObjectState
from datastores.models import Image, Job, User, VirtualMachine
from datastores.web import once
from datastores.web.once import ALREADY, ONGOING, Claim, led_to, new_key
from tests.unit.conftest import a_disk, a_host, a_vm, an_image, signed_in, text_of

KEY = re.compile(r'name="once" value="([^"]+)"')


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis of these tests alone."""
    socket = tmp_path_factory.mktemp("r") / "s"
    command = [redis_server(), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(socket.parent)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not Path(socket).exists():
        time.sleep(0.01)
    yield Redis(unix_socket_path=str(socket))
    process.terminate()
    process.wait()


@pytest.fixture(autouse=True)
def redis(server: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    server.flushall()
    monkeypatch.setattr(once, "queue", lambda name: Queue(name, connection=server))
    once.script.cache_clear()
    yield server
    once.script.cache_clear()


def key_on(client: Client, path: str) -> str:
    """Return the key of a form on a page that is loaded now."""
    found = KEY.search(text_of(client.get(path)))
    assert found
    return found[1]


def made_ago(key: str, seconds: float) -> str:
    """Return the key as if its page had been made so long ago."""
    made, _, rest = key.rpartition(".")
    return f"{float(made) - seconds:.3f}.{rest}"


def windows_of(user: User, number: int) -> list[Client]:
    """Return browsers' windows of one session."""
    first, *others = signed_in(user), *(Client() for _ in range(number - 1))
    for other in others:
        other.cookies = first.cookies
    return [first, *others]


def told(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


# What counts as the same


def test_a_double_click_makes_one_job_and_leads_to_it(alice: User) -> None:
    image, client = an_image(alice), signed_in(alice)
    key = key_on(client, f"/images/{image.pk}/")
    first, second = (client.post(f"/images/{image.pk}/checksum/", {"once": key}) for _ in range(2))
    job = Job.objects.get()
    assert first.url == second.url == job.get_absolute_url()
    assert told(first) == []
    assert told(second) == [ALREADY]


def test_without_a_key_everything_is_carried_out_as_a_program_asks(alice: User) -> None:
    image, client = an_image(alice), signed_in(alice)
    for _ in range(2):
        client.post(f"/images/{image.pk}/checksum/")
    assert Job.objects.count() == 2


@pytest.mark.parametrize("key", ["", "x", "9" * 50, "1763790000.000." + "a" * 21, "1763790000.000.<b>&%", "\0"])
def test_a_key_that_no_page_has_made_is_none(alice: User, key: str) -> None:
    image, client = an_image(alice), signed_in(alice)
    for _ in range(2):
        client.post(f"/images/{image.pk}/checksum/", {"once": key})
    assert Job.objects.count() == 2


def test_back_and_again_is_the_same_however_much_was_asked_for_since(alice: User) -> None:
    vm, image, client = a_vm(alice), an_image(alice), signed_in(alice)
    old = key_on(client, f"/vms/{vm.pk}/")
    for state in ("running", "stopped"):
        client.post(f"/vms/{vm.pk}/state/", {"once": key_on(client, f"/vms/{vm.pk}/"), "state": state})
    client.post(f"/vms/{vm.pk}/disks/", {"once": old, "image": image.pk})
    client.post(f"/vms/{vm.pk}/disks/", {"once": old, "image": image.pk})
    assert vm.disks.count() == 1


def test_two_tabs_with_the_same_form_make_one_disk(alice: User) -> None:
    vm, image, client = a_vm(alice), an_image(alice), signed_in(alice)
    keys = [made_ago(key_on(client, f"/vms/{vm.pk}/"), 3) for _ in range(2)]
    answers = [client.post(f"/vms/{vm.pk}/disks/", {"once": key, "image": image.pk}) for key in keys]
    assert vm.disks.count() == 1
    assert answers[0].url == answers[1].url
    assert told(answers[1]) == [ALREADY]


def test_a_page_that_was_loaded_afterwards_asks_for_another_one(alice: User) -> None:
    vm, image, client = a_vm(alice), an_image(alice), signed_in(alice)
    for _ in range(2):
        client.post(f"/vms/{vm.pk}/disks/", {"once": key_on(client, f"/vms/{vm.pk}/"), "image": image.pk})
    assert vm.disks.count() == 2


@pytest.mark.parametrize("ahead", [-1.9, 1.9])
def test_a_page_made_afterwards_counts_whatever_the_clock_of_its_machine(
    monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    """What was asked for is timed by the clock of Redis, also where that of the process is years off."""
    clock = time.time
    monkeypatch.setattr("time.time", lambda: clock() + 10**8)
    first = Claim("name", made_ago(new_key(), 10**8 + 60))
    assert first.take() is None
    first.settle({"Location": "/jobs/1/"})
    monkeypatch.setattr("time.time", lambda: clock() + ahead)
    assert Claim("name", new_key()).take() is None


def test_the_old_tab_of_what_was_switched_back_meanwhile_is_told_that_it_was_not_done(alice: User) -> None:
    vm, client = a_vm(alice), signed_in(alice)
    path = f"/vms/{vm.pk}/"
    old, *new = (made_ago(key_on(client, path), 3) for _ in range(3))
    for key, state in zip(new, ("running", "stopped"), strict=True):
        client.post(f"{path}state/", {"once": key, "state": state})
    answer = client.post(f"{path}state/", {"once": old, "state": "running"})
    vm.refresh_from_db()
    assert vm.state == "stopped"
    assert "it was not done again; what was done since stands" in told(answer)[-1]


def test_what_was_asked_for_long_ago_does_not_count_for_another_tab(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm, image, client = a_vm(alice), an_image(alice), signed_in(alice)
    keys = [made_ago(key_on(client, f"/vms/{vm.pk}/"), 3) for _ in range(2)]
    client.post(f"/vms/{vm.pk}/disks/", {"once": keys[0], "image": image.pk})
    monkeypatch.setattr(once, "TABS_SECONDS", 0)
    client.post(f"/vms/{vm.pk}/disks/", {"once": keys[0], "image": image.pk})
    assert vm.disks.count() == 1
    client.post(f"/vms/{vm.pk}/disks/", {"once": keys[1], "image": image.pk})
    assert vm.disks.count() == 2


def test_the_same_from_another_device_is_another_request(alice: User) -> None:
    """Who signs out on the telephone, too, is to be signed out there."""
    desk, telephone = signed_in(alice), signed_in(alice)
    keys = [key_on(desk, "/vms/new/"), made_ago(key_on(telephone, "/vms/new/"), 30)]
    for client, key in zip((desk, telephone), keys, strict=True):
        client.post("/logout/", {"once": key})
        assert client.get("/vms/").status_code == 302


def test_another_field_on_the_same_page_is_another_request(alice: User) -> None:
    image, client = an_image(alice), signed_in(alice)
    key = key_on(client, f"/images/{image.pk}/")
    for name in ("one", "two"):
        client.post(f"/images/{image.pk}/disks/", {"once": key, "vm_name": name, "count": 1})
    assert set(VirtualMachine.objects.values_list("name", flat=True)) == {"one", "two"}


def test_a_key_of_somebody_else_means_nothing(alice: User, admin: User) -> None:
    image = an_image(alice)
    key = key_on(signed_in(alice), f"/images/{image.pk}/")
    for user in (alice, admin):
        signed_in(user).post(f"/images/{image.pk}/checksum/", {"once": key})
    assert Job.objects.count() == 2


def test_many_rows_are_done_once_also_when_some_were_refused(admin: User) -> None:
    free, busy = an_image(admin), an_image(admin, state=ObjectState.PENDING)
    client = signed_in(admin)
    sent = {"once": key_on(client, "/images/"), "act": "check", "pk": [free.pk, busy.pk]}
    client.post("/images/?q=image", sent)
    again = client.post("/images/?q=image", sent)
    assert Job.objects.count() == 1
    assert again.url == "/images/?q=image"


# What was not carried out may be sent again


def test_a_form_with_an_error_is_still_to_be_sent(alice: User) -> None:
    image, client = an_image(alice, "there"), signed_in(alice)
    sent = {"once": key_on(client, f"/images/{image.pk}/"), "name": "there", "version": image.version}
    path = f"/images/{image.pk}/clone/"
    assert "There is an image there" in text_of(client.post(path, sent))
    Image.objects.update(name="renamed")
    assert client.post(path, sent).url == Job.objects.get().get_absolute_url()


def test_what_was_refused_is_still_to_be_sent(alice: User) -> None:
    vm, client = a_vm(alice), signed_in(alice)
    disk = a_disk(an_image(alice), vm)
    sent = {"once": key_on(client, f"/vms/{vm.pk}/"), "confirm_name": vm.name}
    assert "still has 1 disk" in text_of(client.post(f"/vms/{vm.pk}/delete/", sent, follow=True))
    disk.delete()
    client.post(f"/vms/{vm.pk}/delete/", sent)
    assert not VirtualMachine.objects.exists()


def test_the_page_that_asks_for_the_name_has_a_key_of_its_own(admin: User) -> None:
    host, client = a_host(), signed_in(admin)
    key = key_on(client, f"/hosts/{host.pk}/")
    asked = text_of(client.post(f"/hosts/{host.pk}/delete/", {"once": key}))
    assert [found != key for found in KEY.findall(asked)] == [True, True]  # of the sign-out and of the question


def test_a_defect_frees_the_key(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    image, client = an_image(alice), signed_in(alice)
    client.raise_request_exception = False
    sent = {"once": key_on(client, f"/images/{image.pk}/")}
    with monkeypatch.context() as broken:
        broken.setattr("datastores.web.views.image_actions.started", lambda *_: 1 / 0)
        assert client.post(f"/images/{image.pk}/checksum/", sent).status_code == 500
    assert client.post(f"/images/{image.pk}/checksum/", sent).status_code == 302


# At the same moment


@pytest.mark.django_db(transaction=True)
def test_two_at_the_same_moment_make_one_job_and_both_are_led_to_it(alice: User) -> None:
    image = an_image(alice)
    clients = windows_of(alice, 4)
    key = key_on(clients[0], f"/images/{image.pk}/")
    urls, together = [], threading.Barrier(4)

    def send(client: Client) -> None:
        together.wait()
        urls.append(client.post(f"/images/{image.pk}/clone/", {"once": key, "name": "copy"}).url)
        connections.close_all()

    threads = [threading.Thread(target=send, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert urls == [Job.objects.get().get_absolute_url()] * 4


def test_who_sends_it_again_while_it_takes_long_is_told_so(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "WAIT_SECONDS", 0.1)
    image, client = an_image(alice), signed_in(alice)
    path, key = f"/images/{image.pk}/checksum/", key_on(client, f"/images/{image.pk}/")
    nested: list[Any] = []

    def slowly(*_: Any) -> HttpResponse:
        nested.append(client.post(path, {"once": key}, headers={"Referer": f"http://testserver/images/{image.pk}/"}))
        return HttpResponse(status=202)

    with monkeypatch.context() as slow:
        slow.setattr("datastores.web.views.image_actions.started", slowly)
        client.post(path, {"once": key})
    assert told(nested[0]) == [ONGOING]
    assert nested[0].url == f"http://testserver/images/{image.pk}/"
    assert Job.objects.count() == 1


def test_who_comes_second_goes_on_when_the_first_was_refused() -> None:
    first, second = (Claim("name", new_key()) for _ in range(2))
    second.key = first.key
    assert first.take() is None
    assert second.take() == b""
    first.settle({})
    assert second.take() is None


def test_a_claim_whose_process_died_ends_by_itself(redis: Redis) -> None:
    claim = Claim("name", new_key())
    claim.take()
    assert 0 < redis.ttl("name") <= once.ONGOING_SECONDS
    claim.settle({"Location": "/"})
    assert redis.ttl("name") > once.TABS_SECONDS


def test_a_claim_that_somebody_else_has_taken_over_is_left_to_them(redis: Redis) -> None:
    late = Claim("name", new_key())
    late.take()
    redis.delete("name")
    other = Claim("name", new_key())
    other.take()
    late.settle({"Location": "/late/"})
    late.settle({})
    assert other.take() == b""


# Redis


def test_without_redis_what_is_sent_again_to_the_same_process_is_known(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Claim, "take", lambda claim: away())
    image, client = an_image(alice), signed_in(alice)
    path, key = f"/images/{image.pk}/clone/", key_on(client, f"/images/{image.pk}/")
    first, again = (client.post(path, {"once": key, "name": "copy"}) for _ in range(2))
    assert first.url == again.url == Job.objects.get().get_absolute_url()
    client.post(path, {"once": key, "name": "other"})
    assert Job.objects.count() == 2


def test_what_was_sent_while_redis_was_away_is_known_when_it_is_back(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, client = an_image(alice), signed_in(alice)
    path, key = f"/images/{image.pk}/clone/", key_on(client, f"/images/{image.pk}/")
    monkeypatch.setattr(once, "AWAY_SECONDS", 0)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Claim, "take", lambda claim: away())
        client.post(path, {"once": key, "name": "copy"})
    client.post(path, {"once": key, "name": "copy"})
    assert Job.objects.count() == 1


def away() -> bytes | None:
    raise RedisError("away")


def test_without_redis_the_log_says_what_may_be_carried_out_twice(
    alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    image, client = an_image(alice), signed_in(alice)
    key = key_on(client, f"/images/{image.pk}/")
    away = Redis(unix_socket_path="/nowhere/redis.sock")
    monkeypatch.setattr(once, "queue", lambda name: Queue(name, connection=away))
    once.script.cache_clear()
    with caplog.at_level(logging.WARNING, "datastores.web.once"):
        assert client.post(f"/images/{image.pk}/checksum/", {"once": key}).status_code == 302
    assert "carried out twice" in caplog.text
    assert key not in caplog.text


def test_a_redis_that_is_away_is_not_waited_for_each_time(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Claim] = []

    def take(claim: Claim) -> bytes | None:
        asked.append(claim)
        raise RedisError("away")

    monkeypatch.setattr(Claim, "take", take)
    image, client = an_image(alice), signed_in(alice)
    for name in ("one", "two"):
        key = key_on(client, f"/images/{image.pk}/")
        assert client.post(f"/images/{image.pk}/clone/", {"once": key, "name": name}).status_code == 302
    assert len(asked) == 1
    assert Job.objects.count() == 2


def test_a_redis_that_is_lost_meanwhile_takes_no_answer_away(
    alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lost(claim: Claim, led: dict[str, str]) -> None:
        raise RedisError("lost")

    image, client = an_image(alice), signed_in(alice)
    monkeypatch.setattr(Claim, "settle", lost)
    sent = {"once": key_on(client, f"/images/{image.pk}/")}
    assert client.post(f"/images/{image.pk}/checksum/", sent).status_code == 302
    assert "cannot be remembered" in caplog.text


def test_nothing_that_was_sent_can_be_read_in_redis(alice: User, redis: Redis) -> None:
    client = signed_in(alice)
    sent = {"once": key_on(client, "/vms/new/"), "name": "secretive"}
    client.post("/vms/new/", sent)
    (name,) = redis.keys()
    kept = repr((name, redis.hgetall(name)))
    assert "secretive" not in kept and "alice" not in kept


def test_it_costs_two_round_trips(alice: User, redis: Redis) -> None:
    image, client = an_image(alice), signed_in(alice)
    path, key = f"/images/{image.pk}/", key_on(client, f"/images/{image.pk}/")
    client.post(f"{path}checksum/", {"once": key_on(client, path)})  # the scripts are stored from now on
    before = redis.info("commandstats")
    client.post(f"{path}clone/", {"once": key, "name": "copy"})
    after = redis.info("commandstats")
    assert after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"] == 2
    assert "cmdstat_eval" not in after


# Where it leads


@pytest.mark.parametrize(
    ("answer", "led"),
    [
        (HttpResponse("the form, with an error"), {}),
        (HttpResponse(status=409), {}),
        (HttpResponse(status=400, headers={"HX-Retarget": "#messages"}), {}),
        (HttpResponse(status=302, headers={"Location": "/jobs/"}), {"Location": "/jobs/"}),
        (HttpResponse(headers={"HX-Redirect": "/jobs/", "Vary": "Cookie"}), {"HX-Redirect": "/jobs/"}),
        (HttpResponse(status=202), {"Location": "/images/?q=a"}),
    ],
)
def test_what_is_remembered_of_an_answer(answer: HttpResponse, led: dict[str, str]) -> None:
    assert led_to(RequestFactory().post("/images/?q=a"), answer) == led


def test_htmx_is_told_to_go_where_it_was_told_first(rf: RequestFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr("django.contrib.messages.info", lambda request, words: heard.append(words))
    answer = once.again(rf.post("/"), {"HX-Redirect": "/jobs/"})
    assert (answer.status_code, answer["HX-Redirect"], heard) == (200, "/jobs/", [ALREADY])


def test_a_program_that_repeats_a_key_is_told_so(alice: User) -> None:
    image, client = an_image(alice), signed_in(alice)
    sent = {"once": key_on(client, f"/images/{image.pk}/")}
    client.post(f"/images/{image.pk}/checksum/", sent)
    answer = client.post(f"/images/{image.pk}/checksum/", sent, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()) == (409, {"error": ALREADY})


# Every form has a key


def test_every_form_that_is_sent_has_a_key(admin: User) -> None:
    image, host = an_image(admin), a_host()
    a_disk(image)
    client = signed_in(admin)
    for path in ("/", "/images/", f"/images/{image.pk}/", f"/hosts/{host.pk}/", "/hosts/new/", "/settings/", "/users/"):
        page = text_of(client.get(path))
        forms = re.findall(r'<form[^>]* method="post".*?</form>|<form method="post".*?</form>', page, re.DOTALL)
        assert forms
        assert [len(KEY.findall(form)) for form in forms] == [1] * len(forms), path


def test_two_forms_never_have_the_same_key(admin: User) -> None:
    a_host()
    keys = KEY.findall(text_of(signed_in(admin).get("/users/")))
    assert len(keys) > 1
    assert len(set(keys)) == len(keys)


def test_who_is_not_signed_in_claims_nothing(db: None, redis: Redis) -> None:
    client = Client()
    client.post("/login/", {"once": key_on(client, "/login/"), "username": "nobody", "password": "wrong"})
    assert redis.keys() == []


def test_a_form_from_another_site_claims_nothing(alice: User, redis: Redis) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    image = an_image(alice)
    key = key_on(client, f"/images/{image.pk}/")
    redis.flushall()
    assert client.post(f"/images/{image.pk}/checksum/", {"once": key}).status_code == 403
    assert redis.keys() == []


def test_a_request_that_is_no_form_is_left_alone(rf: RequestFactory, alice: User) -> None:
    request: HttpRequest = rf.post("/", b"\x00\x01", content_type="application/octet-stream")
    request.user = alice
    assert once.claim_of(request) is None
