"""What is typed over a list: ``tm:qcow2 free<20% -state:ready "two words"``.

Terms are joined by *and*, values divided by commas by *or*, and ``-`` negates a term. A term without a field is text
that the row says anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, reduce
from operator import or_
from typing import Any, TypeAlias

from django.db.models import Q
from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput

from datastores.web.lists.fields import BadValue, Field

LONGEST, MOST_TERMS = 500, 20
WRONG = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^\s",])+')
"""What cannot be read, from where it begins: a word or a quotation, with what is joined to it."""
ESCAPED = re.compile(r"\\(.)")
GRAMMAR = r"""
    start: term*
    term: NOT? FIELD OPERATOR values -> condition
        | NOT? text -> text
    values: value ("," value)*
    value: QUOTED | WORD
    ?text: QUOTED | WORD

    NOT.3: "-"
    FIELD.2: /[a-z_]+(?=\s*(:|!=|<=|>=|<|>|=))/i
    OPERATOR: ":" | "=" | "!=" | "<=" | ">=" | "<" | ">"
    QUOTED.2: /"(\\.|[^"\\])*"/
    WORD: /[^\s",][^\s,"]*/
    %ignore /\s+/
"""


class BadQuery(Exception):
    """A query that means nothing. ``text``: what was typed; ``at``, ``end``: the part that is wrong, in characters.

    Where no end is given, it is that of the word.
    """

    def __init__(self, message: str, text: str, at: int, end: int | None = None) -> None:
        super().__init__(message)
        word = WRONG.match(text, at)
        self.text, self.at, self.end = text, at, end or (word.end() if word else len(text))

    @property
    def before(self) -> str:
        return self.text[: self.at]

    @property
    def wrong(self) -> str:
        return self.text[self.at : self.end]

    @property
    def after(self) -> str:
        return self.text[self.end :]


@dataclass(frozen=True, slots=True)
class Value:
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Term:
    """``field`` and ``operator`` are "" for text that may be anywhere."""

    field: str
    operator: str
    values: tuple[Value, ...]
    negated: bool
    at: int


Fields: TypeAlias = Mapping[str, Field]


class _Terms(Transformer[Token, Any]):
    def start(self, terms: list[Term]) -> list[Term]:
        return terms

    def condition(self, parts: list[Any]) -> Term:
        negated, (field, operator, values) = _without_not(parts)
        return Term(field.lower(), str(operator), tuple(values), negated, field.start_pos)

    def text(self, parts: list[Any]) -> Term:
        negated, (token,) = _without_not(parts)
        return Term("", "", (_value(token),), negated, token.start_pos)

    def values(self, values: list[Value]) -> list[Value]:
        return values

    def value(self, parts: list[Token]) -> Value:
        return _value(parts[0])


def _without_not(parts: list[Any]) -> tuple[bool, list[Any]]:
    negated = isinstance(parts[0], Token) and parts[0].type == "NOT"
    return negated, parts[1:] if negated else parts


def _value(token: Token) -> Value:
    text = str(token)
    if token.type == "QUOTED":
        text = ESCAPED.sub(r"\1", text[1:-1])
    return Value(text, token.start_pos or 0)


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", lexer="contextual", transformer=_Terms())


def parse(text: str) -> Sequence[Term]:
    """Return the terms of a query. :raises BadQuery: it cannot be read."""
    if "\0" in text:
        raise BadQuery("A zero byte is in no row.", text, text.index("\0"))
    if len(text) > LONGEST:
        raise BadQuery(f"A filter has at most {LONGEST} characters.", text, LONGEST, len(text))
    try:
        terms: Sequence[Term] = _parser().parse(text)  # type: ignore[assignment]  # the transformer's
    except UnexpectedInput as error:
        raise _unreadable(text, error) from error
    if len(terms) > MOST_TERMS:
        raise BadQuery(f"A filter has at most {MOST_TERMS} terms.", text, terms[MOST_TERMS].at, len(text))
    return terms


def _unreadable(text: str, error: UnexpectedInput) -> BadQuery:
    at = error.pos_in_stream if error.pos_in_stream is not None else len(text)
    at = len(text) if at < 0 else at
    if isinstance(error, UnexpectedCharacters) and text[at : at + 1] == '"':
        return BadQuery("This quotation has no end.", text, at)
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return BadQuery("A value is missing at the end.", text, len(text))
    return BadQuery("This is not expected here. Put text with such characters into quotes.", text, at)


def quoted(text: str) -> str:
    """Return how a text is written in a query, whatever it holds."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def condition(text: str, fields: Fields, anywhere: Field) -> Q:
    """Return what finds the rows. ``anywhere``: the field of terms that name none.

    :raises BadQuery: it cannot be read, names a field that there is not, or a value that the field cannot have.
    """
    wanted = Q()
    for term in parse(text):
        field = fields.get(term.field) if term.field else anywhere
        if field is None:
            raise BadQuery(_no_field(term.field, fields), text, term.at)
        found = reduce(or_, (_one(field, term, value, text) for value in term.values))
        wanted &= ~found if term.negated != (term.operator == "!=") else found
    return wanted


def _one(field: Field, term: Term, value: Value, text: str) -> Q:
    try:
        return field.q("=" if term.operator == "!=" else term.operator or ":", value.text)
    except BadValue as error:
        raise BadQuery(str(error), text, value.at) from error


def _no_field(name: str, fields: Fields) -> str:
    near = get_close_matches(name, fields, 1)
    hint = f" Did you mean {near[0]}?" if near else f" There are {', '.join(sorted(fields))}."
    return f"There is no field {name}.{hint} To search for the text itself, put it into quotes."
