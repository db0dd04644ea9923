"""The guides of ``docs`` as pages: Markdown without raw HTML, links and pictures where the product has them.

The files read the same in a repository browser: headings get the ids that are usual there, and links between them are
relative there and addresses of pages here.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from django.conf import settings
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from datastores.models import User

PICTURES = "screenshots"
"""The folder below ``docs`` from which pictures are shown, and no other."""
LIGHT, DARK = "-light.png", "-dark.png"


@dataclass(frozen=True, slots=True)
class Guide:
    """``path``: below ``docs``. ``url``: the name of its address."""

    name: str
    title: str
    path: str
    url: str = "help"

    @property
    def file(self) -> Path:
        return documents() / self.path

    @property
    def address(self) -> str:
        return reverse("help", args=[self.name]) if self.url == "help" else reverse(self.url)


GUIDES: dict[str, Guide] = {
    guide.name: guide
    for guide in (
        Guide("operators", "Guide for operators", "guide/operators.md"),
        Guide("tenants", "Guide for tenants", "guide/tenants.md"),
        Guide("monitoring", "Monitoring", "monitoring.md"),
        Guide("deployment", "Deployment", "deployment.md"),
        Guide("developers", "Guide for developers", "guide/developers.md", "help-developers"),
        Guide("architecture", "Architecture", "architecture.md", "help-architecture"),
    )
}
SECTIONS: dict[str, str] = {
    "overview": "the-overview", "host-list": "hosts", "host": "hosts", "host-new": "add-a-host",
    "host-export": "nfs-exports", "host-directory": "directories-on-a-datastore",
    "cluster-list": "clusters", "credential-list": "keys-of-cloudstore", "drift-list": "drift", "drift": "drift",
    "datastore-list": "datastores", "datastore": "datastores", "datastore-new": "make-a-datastore",
    "datastore-measure": "how-fast", "advisor": "which-kind",
    "datastore-volume": "glusterfs", "datastore-luns": "an-appliance",
    "datastore-cache": "images-cached-on-hosts",
    "image-list": "images", "image-deleted": "deleted-images",
    "image": "images", "image-register": "register-an-image", "vm-list": "virtual-machines",
    "vm": "virtual-machines", "disk-list": "disks", "disk": "disks", "job-list": "jobs", "job": "jobs",
    "plan": "read-a-plan", "alert-list": "alerts", "alert": "alerts", "audit-list": "the-audit-trail",
    "queues": "queues", "user-list": "people-and-roles", "settings": "settings", "settings-section": "settings",
    "settings-approval": "approval", "target-new": "notifications", "target-edit": "notifications",
}  # fmt: skip
"""The section of the guide for operators that a page asks for, by the name of its address."""


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """A guide as a page: its title, its sections, and its text as HTML."""

    title: str
    headings: Sequence[Heading]
    html: SafeString

    @property
    def sections(self) -> Sequence[Heading]:
        return [heading for heading in self.headings if heading.level == 2]


def documents() -> Path:
    return Path(settings.BASE_DIR) / "docs"


def page_of(guide: Guide) -> Page:
    """Return the guide as a page; made anew only when its file has changed."""
    return _page(guide.name, guide.file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2 * len(GUIDES))
def _page(name: str, _changed: int) -> Page:
    guide = GUIDES[name]
    tokens = parser().parse(guide.file.read_text("utf-8"))
    headings = with_ids(tokens)
    title, body = tokens[1].content, tokens[3:]  # its first heading is that of the page
    html = parser().renderer.render(body, parser().options, {"guide": guide})
    return Page(title, headings[1:], SafeString(html))  # our own files, their raw HTML escaped


def section_url(user: User, name: str) -> str:
    """Return where the guide tells of the page with this address; "": nowhere.

    A tenant is led to the guide for tenants where that has the section.
    """
    section = SECTIONS.get(name)
    if section is None:  # a form that was refused is shown at the address that it was sent to
        above = name.rpartition("-")[0]
        return section_url(user, above) if above else ""
    own = GUIDES["tenants"]
    is_own = user.role == User.Role.TENANT and section in {heading.id for heading in page_of(own).headings}
    return f"{(own if is_own else GUIDES['operators']).address}#{section}"


def with_ids(tokens: Sequence[Token]) -> list[Heading]:
    """Give every heading an id that is made of its words, and return the headings."""
    found: list[Heading] = []
    seen: dict[str, int] = {}
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(child.content for child in inline.children or ())
            name = slug(text)
            seen[name] = seen.get(name, -1) + 1
            name = f"{name}-{seen[name]}" if seen[name] else name
            opening.attrSet("id", name)
            found.append(Heading(int(opening.tag[1]), name, text))
    return found


def slug(text: str) -> str:
    """Return the id that repository browsers give a heading."""
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


# Rendering

Env: TypeAlias = MutableMapping[str, Any]
"""What belongs to the page that is rendered: the guide, and how many tables it has so far."""


class Renderer(RendererHTML):
    """Tables that scroll inside of their frame, pictures of ours, and links to what the product has."""

    def table_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: Env) -> str:
        number = env["tables"] = env.get("tables", 0) + 1
        frame = '<div class="scroll" tabindex="0" role="region" aria-label="Table {}"><table class="t">'
        return format_html(frame, number)

    def table_close(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: Env) -> str:
        return "</table></div>\n"

    def link_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: Env) -> str:
        return format_html('<a href="{}">', address(env["guide"], str(tokens[at].attrGet("href"))))

    def image(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: Env) -> str:
        file = beside(env["guide"], str(tokens[at].attrGet("src")))
        return picture(file, tokens[at].content)

    def fence(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: Env) -> str:
        return f"<pre><code>{escape(tokens[at].content)}</code></pre>\n"


@functools.cache
def parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}, renderer_cls=Renderer).enable("table")


def beside(guide: Guide, target: str) -> str:
    """Return the path below ``docs`` of what a guide points to; "": it is not there."""
    path = PurePosixPath(guide.path).parent
    for part in PurePosixPath(target).parts:
        path = path.parent if part == ".." else path / part
    return str(path)


def address(guide: Guide, href: str) -> str:
    """Return where a link of a guide leads: another guide is a page here, and what the product has not is the same."""
    path, _, section = href.partition("#")
    found = next((each for each in GUIDES.values() if path and each.path == beside(guide, path)), None)
    if found is None:
        return href
    return f"{found.address}#{section}" if section else found.address


def picture(path: str, words: str) -> str:
    """Return the picture, by day and by night where there are both; of no other folder than that of the pictures."""
    folder, _, name = path.rpartition("/")
    if folder != PICTURES or not (documents() / path).is_file():
        return escape(words)
    night = name.replace(LIGHT, DARK)
    try:
        if night == name or not (documents() / PICTURES / night).is_file():
            return _img(name, words, "")
        return _img(name, words, "day") + _img(night, words, "night")
    except ValueError:  # newer than the files that were collected when this process began
        return escape(words)


def _img(name: str, words: str, tone: str) -> str:
    width, height = struct.unpack(">II", (documents() / PICTURES / name).read_bytes()[16:24])
    html = '<img class="{}" src="{}" alt="{}" width="{}" height="{}" loading="lazy">'
    return format_html(html, tone, static(f"{PICTURES}/{name}"), words, width, height)
