"""Sign in, sign out, the person's own password."""

from __future__ import annotations

from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from datastores.models.audit import in_turn
from datastores.web.access import EVERYBODY, Request, roles, wants_json
from datastores.web.acting import done, note
from datastores.web.forms.base import attempt
from datastores.web.forms.users import LoginForm, OwnPasswordForm


class SignIn(LoginView):
    """Partials and programs whose session is over are told so, instead of getting this page for an answer."""

    form_class = LoginForm
    template_name = "datastores/login.html"
    redirect_authenticated_user = True

    def get(self, request: HttpRequest, *args: str, **kwargs: str) -> HttpResponse:
        if request.headers.get("HX-Request"):
            return HttpResponse(headers={"HX-Refresh": "true"})
        if wants_json(request):
            return JsonResponse({"error": "Sign in first."}, status=401)
        return super().get(request, *args, **kwargs)


@roles(read=EVERYBODY, write=EVERYBODY)
def password(request: Request) -> HttpResponse:
    form = OwnPasswordForm(request.user, request.POST or None)

    def act(_: object) -> HttpResponse:
        with in_turn():
            form.save()
            note(request, "user.password", request.user)
        update_session_auth_hash(request, form.user)
        return done(request, "Your password is changed. Other sessions of yours are signed out.", "overview")

    return attempt(request, form, act, lambda: render(request, "datastores/password.html", {"form": form}))
