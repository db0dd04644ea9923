from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.urls import include, path

from cloudstore.health import healthz, metrics, readyz

# one way to sign in: ours locks out, and is in the audit trail
admin.site.login = login_required(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("", include("datastores.web.urls")),
]
