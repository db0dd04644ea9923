"""Sign in, sign out, the person's own password."""

from __future__ import annotations

from axes.handlers.proxy import AxesProxyHandler
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from datastores.models import User
from datastores.models.audit import in_turn, record
from datastores.web.access import EVERYBODY, Request, client_address, roles, wants_json
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

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        with in_turn():
            answer = super().form_valid(form)
            note(self.request, "user.sign_in", self.request.user)
        return answer

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Note a wrong password for an account that is there; from the lock-out on, nothing is noted."""
        user = User.objects.filter(username=form.data.get("username", "")).first()
        if user and AxesProxyHandler.is_allowed(self.request, {"username": user.username}):
            address = client_address(self.request)
            record("user.sign_in", user=None, address=address, target=user, result="refused")
        return super().form_invalid(form)


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
