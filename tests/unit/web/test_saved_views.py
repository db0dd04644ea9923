"""Views of lists that a person keeps under a name."""

from __future__ import annotations

import pytest

from datastores.models import SavedView, User
from datastores.web.views.saved_views import MOST_VIEWS
from tests.unit.conftest import an_image, signed_in, text_of


def test_a_view_is_kept_and_found_over_its_list_only(admin: User) -> None:
    an_image(admin)
    client = signed_in(admin)
    query = "q=state%3Aerror&sort=-size&columns=name%2Csize&after=abc&evil=1"
    answer = client.post("/views/", {"path": "/images/", "name": "Large and broken", "query": query})
    kept = "q=state%3Aerror&sort=-size&columns=name%2Csize"
    assert answer.url == f"/images/?{kept}"
    assert SavedView.objects.get().query == kept
    assert "Large and broken" in text_of(client.get("/images/"))
    assert "Large and broken" not in text_of(client.get("/vms/"))


def test_a_view_under_the_same_name_takes_its_place(admin: User) -> None:
    for query in ("q=a", "q=b"):
        signed_in(admin).post("/views/", {"path": "/images/", "name": "mine", "query": query})
    assert [saved.query for saved in SavedView.objects.all()] == ["q=b"]


def test_a_view_is_its_owners_alone(alice: User, bob: User) -> None:
    saved = SavedView.objects.create(user=alice, list="images", name="mine", query="q=a")
    an_image(bob)
    assert "mine" not in text_of(signed_in(bob).get("/images/"))
    assert signed_in(bob).post(f"/views/{saved.pk}/delete/").status_code == 404
    assert signed_in(alice).post(f"/views/{saved.pk}/delete/").status_code == 302
    assert not SavedView.objects.exists()


@pytest.mark.parametrize(
    ("path", "name", "query", "words"),
    [
        ("/", "x", "q=a", "Views are kept of lists only"),
        ("//evil.example/", "x", "q=a", "Views are kept of lists only"),
        ("https://evil.example/images/", "x", "q=a", "Views are kept of lists only"),
        ("/images/1/", "x", "q=a", "Views are kept of lists only"),
        ("/images/", "", "q=a", "Give the view a name"),
        ("/images/", "x" * 61, "q=a", "Give the view a name"),
        ("/images/", "x", "", "There is nothing to keep"),
        ("/images/", "x", "evil=1", "There is nothing to keep"),
        ("/images/", "x", f"q={'a' * 3000}", "too long to be kept"),
    ],
)
def test_what_cannot_be_kept_is_refused(admin: User, path: str, name: str, query: str, words: str) -> None:
    answer = signed_in(admin).post("/views/", {"path": path, "name": name, "query": query}, follow=True)
    assert words in text_of(answer)
    assert not SavedView.objects.exists()


def test_there_is_an_end_to_views(admin: User) -> None:
    SavedView.objects.bulk_create(
        SavedView(user=admin, list="images", name=f"v{number}", query="q=a") for number in range(MOST_VIEWS)
    )
    client = signed_in(admin)
    client.post("/views/", {"path": "/images/", "name": "one more", "query": "q=a"})
    client.post("/views/", {"path": "/images/", "name": "v0", "query": "q=b"})
    assert SavedView.objects.count() == MOST_VIEWS
    assert SavedView.objects.get(name="v0").query == "q=b"


def test_a_hostile_name_is_text(admin: User) -> None:
    an_image(admin)
    client = signed_in(admin)
    client.post("/views/", {"path": "/images/", "name": "<img src=x onerror=alert(1)>", "query": "q=a"})
    assert "<img src=x" not in text_of(client.get("/images/"))
