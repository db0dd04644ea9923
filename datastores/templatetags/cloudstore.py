"""The few things that templates cannot say by themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.shortcuts import resolve_url
from django.template.defaultfilters import date
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from datastores.domain.values import format_size
from datastores.drivers.registry import DRIVERS
from datastores.jobs.view import JOB_LOOK, STEP_LOOK
from datastores.models import AuditEntry, Datastore, Job
from datastores.services.dependants import is_saved
from datastores.web import look
from datastores.web.ahead import Ahead, ahead_of
from datastores.web.figures import promised_percent
from datastores.web.guides import section_url
from datastores.web.lists.columns import Column, Sort
from datastores.web.lists.query import quoted
from datastores.web.sentences import sentence

register = template.Library()
EMPTY: tuple[Any, ...] = ("", None, [], {})
LOOKS = {
    "object": look.OBJECT_LOOK,
    "host": look.HOST_LOOK,
    "vm": look.VM_LOOK,
    "role": look.ROLE_LOOK,
    "result": look.RESULT_LOOK,
    "alert": look.ALERT_LOOK,
    "severity": look.SEVERITY_LOOK,
    "drift": look.DRIFT_LOOK,
    "difference": look.DRIFT_KIND_LOOK,
    "job": JOB_LOOK,
    "step": STEP_LOOK,
}


@register.simple_tag
def badge(kind: str, state: str, attribute: str = "") -> SafeString:
    """A state: colour, icon and word. ``attribute`` marks it for a script."""
    tone, icon = LOOKS[kind].get(state, look.UNKNOWN)  # type: ignore[attr-defined]
    html = '<span class="st {}" {}><i class="bi bi-{}"></i><span>{}</span></span>'
    return format_html(html, tone, attribute, icon, state)


class CellNode(template.Node):
    """A cell of a list's row, unless its column was not chosen. Outside of a list every cell is shown."""

    def __init__(self, key: str, classes: str, content: template.NodeList) -> None:
        self.key, self.classes, self.content = key, classes, content

    def render(self, context: template.Context) -> str:
        column = context["shown"].get(self.key)
        if column is None:
            return ""
        classes = " ".join(filter(None, ("num" if column.number else "", self.classes)))
        return f"<td{classes and f' class={chr(34)}{classes}{chr(34)}'}>{self.content.render(context)}</td>"


@register.tag
def col(parser: template.base.Parser, token: template.base.Token) -> CellNode:
    """``{% col "size" "mono" %}…{% endcol %}``: the cell of the column with this key, with these classes."""
    _, key, *classes = token.split_contents()
    content = parser.parse(("endcol",))
    parser.delete_first_token()
    return CellNode(key.strip('"'), " ".join(classes).replace('"', ""), content)


@register.simple_tag(takes_context=True)
def pick(context: template.Context, row: Any) -> SafeString | str:
    """The cell with which a row of a list is chosen, where something can be done to many of them."""
    view = context.get("view")
    if not view or not view.offered:
        return ""
    box = '<input type="checkbox" class="form-check-input" name="pk" value="{}" form="picked" aria-label="Choose {}">'
    return format_html(f'<td class="pick">{box}</td>', row.pk, row)


@register.simple_tag
def working(row: Any) -> SafeString | str:
    """The jobs that hold a row of a list, with a link to one of them; nothing while there is none."""
    work = getattr(row, "work", None)
    if work is None:
        return ""
    words = f"{work.jobs} jobs" if work.jobs > 1 else "1 job"
    html = ' <a class="work" href="{}" title="{}"><i class="bi bi-arrow-repeat"></i> {}</a>'
    return format_html(html, work.job.get_absolute_url(), work.job.title, words)


@register.simple_tag
def state_icon(kind: str, state: str) -> SafeString:
    tone, icon = LOOKS[kind].get(state, look.UNKNOWN)  # type: ignore[attr-defined]
    return format_html('<i class="bi bi-{} ic-{}" title="{}"></i>', icon, tone, state)


@register.simple_tag
def when(moment: datetime | None) -> SafeString | str:
    """A time that a script turns into "12 s ago", with the exact one on hover."""
    if moment is None:
        return "-"
    words = date(timezone.localtime(moment), "j M Y H:i")
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(timespec="seconds"), words)


@register.simple_tag
def bar(used: int, promised: int = 0) -> SafeString:
    """How full something is, in percent: real bytes solid, promised ones pale."""
    used = max(0, min(100, used))
    pale = max(0, min(100 - used, promised))
    words = f"{used} % used, {promised} % more promised" if promised else f"{used} % used"
    return format_html(
        '<svg class="cap {}" viewBox="0 0 100 1" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<title>{}</title><rect width="{}" height="1"/><rect class="v" x="{}" width="{}" height="1"/></svg>',
        look.fullness(used), words, words, used, used, pale,
    )  # fmt: skip


@register.simple_tag
def share_bar(percent: int) -> SafeString:
    """How large something is beside the largest; the number stands next to it."""
    return format_html(
        '<svg class="cap" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="{}" height="1"/></svg>',
        max(0, min(100, percent)),
    )


@register.filter
def size(value: int | None) -> str:
    return "-" if value is None else format_size(value)


@register.filter
def rate(value: float | None) -> str:
    """Return bytes per second in words."""
    return "-" if value is None else f"{format_size(round(value))}/s"


@register.filter
def at_commas(value: str) -> SafeString:
    """Return a list without blanks, such as addresses, that a narrow page breaks between its parts."""
    return format_html_join(SafeString(",<wbr>"), "{}", ((part,) for part in value.split(",")))


@register.filter
def latency(microseconds: float | None) -> str:
    """Return "155 µs" or "5.0 ms"."""
    if microseconds is None:
        return "-"
    return f"{microseconds:.0f} µs" if microseconds < 1000 else f"{microseconds / 1000:.1f} ms"


@register.filter
def took(seconds: float | None) -> str:
    """Return "64 ms", "1.6 s", "4 min" or "2.5 h"."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@register.filter
def type_word(datastore: Datastore) -> str:
    """Return "img", "sys" or "fil", as operators know it."""
    return look.TYPE_WORDS[datastore.type]


register.filter("is_saved", is_saved)


@register.filter
def mad(datastore: Datastore, which: str) -> str:
    """Return the word of the DS or TM column."""
    word: str = getattr(DRIVERS[datastore.kind], which)
    return word


@register.filter
def promised(datastore: Datastore) -> int:
    return promised_percent(datastore)


@register.filter
def available(datastore: Datastore) -> int:
    return 100 - datastore.used_percent


@register.filter
def job_took(job: Job) -> str:
    return took(job.seconds)


@register.filter
def changes(entry: AuditEntry) -> list[tuple[str, Any, Any]]:
    """Return (name, before, after) of what an audit entry tells of, plain values as one row; nothing of nothing."""
    before, after = entry.detail.get("before", ""), entry.detail.get("after", "")
    if not isinstance(before, dict) and not isinstance(after, dict):
        rows = [("", before, after)]
    else:
        old, new = (value if isinstance(value, dict) else {} for value in (before, after))
        rows = [(name, old.get(name, ""), new.get(name, "")) for name in {**old, **new}]
    told = [(name, *("" if value in EMPTY else value for value in values)) for name, *values in rows]
    return [(name, old, new) for name, old, new in told if (old, new) != ("", "")]


@register.filter
def next_sort(column: Column, sort: Sort) -> str:
    """Return what the head of a column asks for: the other direction where it is sorted by already."""
    return f"-{column.key}" if sort.column == column and not sort.descending else column.key


register.filter("sentence", sentence)
register.filter("quoted", quoted)


@register.simple_tag
def ahead(kind: str) -> Ahead:
    """What happens when a job of this kind is asked for: a sentence, and whether it ``waits``."""
    return ahead_of(kind)


@register.simple_tag(takes_context=True)
def help_link(context: template.Context) -> SafeString | str:
    """A question mark that leads to the section of the guide for this page; nothing where there is none."""
    request = context["request"]
    url = section_url(request.user, request.resolver_match.url_name) if request.resolver_match else ""
    if not url:
        return ""
    html = '<a class="ask-guide" href="{}" aria-label="{}" title="{}"><i class="bi bi-question-circle"></i></a>'
    words = "Help with this page"
    return format_html(html, url, words, words)


@register.inclusion_tag("datastores/_crumbs.html")
def crumbs(*path: Any, recent: str = "") -> dict[str, Any]:
    """Where a page below a list is: the label and the address of each page above it, then its own label.

    An address may be the name of one, or a row that has one. ``recent``: the icon of the thing that the page is of;
    the palette offers those that were opened last.
    """
    *above, here = path
    pairs = zip(above[::2], above[1::2], strict=True)
    return {"above": [(label, resolve_url(to)) for label, to in pairs], "here": here, "recent": recent}
