"""Settings. Every value that a site may change is read from the environment; README lists them."""

from __future__ import annotations

from pathlib import Path

import dj_database_url
from csp.constants import NONE, SELF
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from cloudstore.env import env, generated, secret
from cloudstore.processes import data_directory, runtime_directory

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = data_directory()
"""Everything that this installation keeps: database, queue, keys, logs."""
DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)

DEBUG = env.bool("CLOUDSTORE_DEBUG", False)
SECRET_KEY = secret("CLOUDSTORE_SECRET_KEY") or generated(DATA_DIR / "secret_key")
SECRET_KEYS = (secret("CLOUDSTORE_SECRET_KEYS") or generated(DATA_DIR / "secret_keys", fernet=True)).split()
"""Fernet keys for secrets at rest, the current one first."""
ALLOWED_HOSTS = env.list("CLOUDSTORE_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CLOUDSTORE_ORIGINS", [])
HTTPS = env.bool("CLOUDSTORE_HTTPS", False)

INSTALLED_APPS = [
    "cloudstore",
    "datastores",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.forms",
    "axes",
    "channels",
    "django_rq",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "datastores.web.sessions.SignInRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "datastores.web.errors.OperatorErrorMiddleware",
    "datastores.web.once.SentOnce",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "cloudstore.urls"
ASGI_APPLICATION = "cloudstore.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "datastores.web.context.chrome",
            ],
            "builtins": ["datastores.templatetags.sending"],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
MIGRATION_MODULES = {"datastores": "migrations"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;",
}
DATABASE_URL = secret("DATABASE_URL") or f"sqlite:///{DATA_DIR / 'cloudstore.sqlite3'}"
DATABASES = {"default": dj_database_url.parse(DATABASE_URL, conn_max_age=300, conn_health_checks=True)}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # the test database is a file too: workers and lanes look at it from threads and processes of their own
    test = {"NAME": str(DATA_DIR / "test.sqlite3")}
    DATABASES["default"] |= {"OPTIONS": SQLITE_OPTIONS, "CONN_HEALTH_CHECKS": False, "TEST": test}

REDIS_URL = secret("REDIS_URL") or f"unix://{runtime_directory(DATA_DIR) / 'redis.sock'}"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # The connection that a restarted Redis left dead is made anew, instead of refusing the next browser. Without
        # a bound, two tasks that did so at once could wait for each other's answer for ever, and all browsers with
        # them; a subscription that hears nothing is not bound by it.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 5, "retry": Retry(ExponentialBackoff(1), 8)}]},
    }
}
QUEUES = ("interactive", "provision", "transfer", "monitor")
RQ_QUEUES = {
    name: {"URL": REDIS_URL, "SERIALIZER": "rq.serializers.JSONSerializer", "DEFAULT_TIMEOUT": 7 * 24 * 3600}
    for name in QUEUES
}
WORKERS = env.str("CLOUDSTORE_WORKERS", "interactive interactive provision+transfer+monitor+schedule").split()
"""One process a word, its threads joined by "+": queues joined by commas, or "schedule"."""
RQ = {"COMMIT_MODE": "on_db_commit"}

AUTH_USER_MODEL = "datastores.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"
AXES_FAILURE_LIMIT = 10
AXES_RESET_ON_SUCCESS = True
AXES_COOLOFF_TIME = 0.25
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "datastores/locked_out.html"
AXES_VERBOSE = False

SESSION_COOKIE_AGE = env.int("CLOUDSTORE_SESSION_HOURS", 12) * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
"""What watches this machine asks it directly, not through the proxy with TLS."""
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],  # Bootstrap draws its form controls with data: images
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    },
}

USE_TZ = True
TIME_ZONE = env.str("CLOUDSTORE_TIME_ZONE", "UTC")
LANGUAGE_CODE = "en-gb"
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static", ("screenshots", BASE_DIR / "docs" / "screenshots")]
"""The second: the pictures of the guides."""
STATIC_ROOT = Path(env.str("CLOUDSTORE_STATIC_DIR", str(BASE_DIR / "staticfiles")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "cloudstore.storage.StaticFiles"},
}

SOURCE_DIRECTORIES = env.list("CLOUDSTORE_SOURCE_DIRS", ["/var/tmp"])  # noqa: S108 a directory to read from
"""Where images may be registered from, unless a datastore names directories of its own."""
MONITOR_SECONDS = env.int("CLOUDSTORE_MONITOR_SECONDS", 60)
KEEP_READS_DAYS = env.int("CLOUDSTORE_KEEP_READS_DAYS", 7)
"""How long the schedule's own readings of hosts that changed nothing stay in the list of jobs."""
PATIENCE_SECONDS = env.int("CLOUDSTORE_PATIENCE_SECONDS", 35)
"""A worker that is not heard of for so long is dead. Beats and checks follow from it."""

METRICS_TOKEN = secret("CLOUDSTORE_METRICS_TOKEN")
"""Who sends it may read the metrics; without one, only this machine may."""

EMAIL_HOST = env.str("CLOUDSTORE_SMTP_HOST", "")
EMAIL_PORT = env.int("CLOUDSTORE_SMTP_PORT", 25)
EMAIL_HOST_USER = env.str("CLOUDSTORE_SMTP_USER", "")
EMAIL_HOST_PASSWORD = secret("CLOUDSTORE_SMTP_PASSWORD")
EMAIL_USE_TLS = env.bool("CLOUDSTORE_SMTP_STARTTLS", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("CLOUDSTORE_MAIL_FROM", "cloudstore@localhost")

WEBHOOK_LOOPBACK = env.bool("CLOUDSTORE_WEBHOOK_LOOPBACK", False)
"""Webhooks may be on this machine itself: for who runs a bridge to a chat beside cloudstore."""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("CLOUDSTORE_LOG_LEVEL", "INFO")},
    "loggers": {
        "paramiko": {"level": "CRITICAL"},  # what goes wrong is raised, and told by whoever asked
        "rq": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},  # a refusal is an answer, not trouble of ours
        "django.channels.server": {"level": "WARNING"},
    },
}
