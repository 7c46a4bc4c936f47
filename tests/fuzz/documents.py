"""Documents for an API: valid ones from its schema, with values that are right or nearly so, and spoilt ones."""

from __future__ import annotations

import string
from typing import Any

from graphql import (
    REMOVE,
    ArgumentNode,
    IntValueNode,
    StringValueNode,
    Visitor,
    parse,
    print_ast,
    visit,
)
from hypothesis import strategies as st
from hypothesis_graphql import from_schema, nodes, queries

Documents = st.SearchStrategy[str]

_RIGHT: dict[str, Any] = {
    "AWSDate": st.dates().map(lambda date: f"{date.isoformat()}Z"),
    "AWSTime": st.times().map(lambda time: time.isoformat(timespec="milliseconds")),
    "AWSDateTime": st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='milliseconds')}Z"),
    "AWSEmail": st.emails(),
    "AWSJSON": st.sampled_from(["{}", "[1]", "null", '"a"', "3"]),
    "AWSURL": st.just("https://example.com/?a=b"),
    "AWSPhone": st.from_regex(r"\A\+1 555-01[0-9]{2}\Z"),
    "AWSIPAddress": st.ip_addresses().map(str),
}
_NUMBERS = st.integers(-(2**40), 2**40).map(nodes.Int)
_WRONG = st.one_of(st.text(max_size=12).map(nodes.String), _NUMBERS, st.booleans().map(nodes.Boolean))

SCALARS = {
    name: st.one_of(right.map(nodes.String), right.map(nodes.String), right.map(nodes.String), _WRONG)
    for name, right in _RIGHT.items()
} | {"AWSTimestamp": _NUMBERS}


def valid_documents(sdl: str) -> Documents:
    """Queries and mutations."""
    return from_schema(sdl, custom_scalars=SCALARS)


class _Aimed(Visitor):
    """Takes away what would end most queries at once: made-up tokens, limits below one, keys nobody has."""

    def enter_argument(self, node: ArgumentNode, *_: Any) -> Any:
        match node.name.value, node.value:
            case "nextToken", _:
                return REMOVE
            case "limit", IntValueNode(value=text):
                return ArgumentNode(name=node.name, value=IntValueNode(value=str(abs(int(text)) % 12 + 1)))
            case "id", StringValueNode(value=text):
                return ArgumentNode(name=node.name, value=StringValueNode(value=f"p{len(text) % 8}"))
        return None


def aimed_queries(sdl: str) -> Documents:
    """Queries that as a rule find something."""
    return queries(sdl, custom_scalars=SCALARS).map(lambda text: print_ast(visit(parse(text), _Aimed())))


@st.composite
def spoilt(draw: st.DrawFn, documents: Documents) -> str:
    """A document with a few places changed."""
    text = draw(documents)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        put = draw(st.sampled_from([text[start:end] * 3, *_MARKS]))
        text = text[:start] + put + text[end:]
    return text


_MARKS = ("", "{", "}", "(", "...", "@skip(if: true)", "$x", '"', "\\u0000")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
"""Anything a JSON parser can give."""
