"""What every form that is sent carries. Built in to all templates, so that no form can do without."""

from __future__ import annotations

from django import template
from django.template.defaulttags import CsrfTokenNode
from django.utils.html import format_html
from django.utils.safestring import SafeString

from datastores.web.once import FIELD, new_key

register = template.Library()


class KeysNode(CsrfTokenNode):
    """Django's token, against other sites, and the key by which a form is known that is sent twice."""

    def render(self, context: template.Context) -> SafeString:
        token = SafeString(super().render(context))
        return token and format_html('{}<input type="hidden" name="{}" value="{}">', token, FIELD, new_key())


@register.tag
def csrf_token(parser: template.base.Parser, token: template.base.Token) -> KeysNode:
    return KeysNode()
