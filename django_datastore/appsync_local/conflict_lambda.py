"""The conflict handler LAMBDA: a Python callable decides, in the words of AppSync's Lambda conflict handlers.

{"newItem": …, "existingItem": …, "arguments": …, "resolver": {…}, "identity": …}
    ─▶ {"action": "RESOLVE", "item": {…}} | {"action": "REJECT"} | {"action": "REMOVE"}

It is never called while a transaction is open. A document that meets a conflict is rolled back, the handler is asked,
and the document runs again with the answers:

    attempt ─▶ `Ruling.on` raises `Undecided` ─▶ roll back ─▶ `Rulings.settle` calls the handler ─▶ attempt …

If the record has changed meanwhile the handler is asked anew, so many times and no more.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from django_datastore.appsync_local.auth.identity import ANYONE, TRUSTED, Identity
from django_datastore.appsync_local.calls import call, load
from django_datastore.appsync_local.conflict import parsed, printed
from django_datastore.appsync_local.errors import CONFLICT_ERROR, CONFLICT_UNHANDLED, MAX_CONFLICTS, FieldError
from django_datastore.appsync_local.graphql.limits import EXECUTION_SECONDS
from django_datastore.appsync_local.operations import Action, Operation
from django_datastore.appsync_local.tables.records import Stored, Values
from django_datastore.schema.auth_modes import API_KEY, AWS_IAM, AWS_LAMBDA
from django_datastore.schema.types import Schema

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Any]]

MAX_ATTEMPTS = 10
"""How often the handler is asked about one mutation, because others were faster each time."""
_WANTED = (
    "takes the event of a Lambda conflict handler and returns {'action': 'RESOLVE', 'item': …}, {'action': 'REJECT'} "
    "or {'action': 'REMOVE'}, as CONFLICT LAMBDA needs it"
)
_THREAD_NAME = "appsync-local-conflict"


class Verdict(StrEnum):
    """What a handler can answer."""

    RESOLVE = "RESOLVE"
    REJECT = "REJECT"
    REMOVE = "REMOVE"


_ALLOWED = {
    Action.UPDATE: (Verdict.RESOLVE, Verdict.REJECT),
    Action.DELETE: (Verdict.REMOVE, Verdict.REJECT),
}


class Undecided(Exception):
    """The handler has to be asked first; the document runs again after that."""


@dataclass(frozen=True, slots=True)
class _Question:
    action: Action
    version: int
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Answer:
    version: int
    """The version of the record it is about."""
    verdict: Verdict | None
    """None if the handler failed."""
    item: Values
    problem: str = ""


class ConflictLambda:
    """Calls the handler, and does not wait for longer than it may take."""

    def __init__(self, handler: Handler | str, *, region: str, timeout_seconds: float) -> None:
        self._handler = load("CONFLICT_HANDLER", handler, _WANTED)
        self.region = region
        self._timeout_seconds = timeout_seconds

    def rulings(self, identity: Identity) -> Rulings:
        """What is decided in the course of one document."""
        return Rulings(self, identity)

    def ask(self, question: _Question) -> _Answer:
        """The handler's answer; a failure is one, too."""
        try:
            found = call(self._handler, question.payload, timeout_seconds=self._timeout_seconds, name=_THREAD_NAME)
            return self._read(question, found)
        except TimeoutError:
            problem = f"it did not answer within {self._timeout_seconds:g} seconds"
        except Exception as exc:
            logger.exception("The conflict handler raised.", extra={"action": "conflict_handler_failed"})
            problem = f"it raised {type(exc).__name__}"
        return _Answer(question.version, None, {}, problem)

    @staticmethod
    def _read(question: _Question, found: Any) -> _Answer:
        allowed = _ALLOWED[question.action]
        action = found.get("action") if isinstance(found, Mapping) else None
        if action not in allowed:
            problem = f"its answer to {question.action} has no action {' or '.join(allowed)}"
            return _Answer(question.version, None, {}, problem)
        verdict = Verdict(action)
        item = found.get("item") if verdict is Verdict.RESOLVE else {}
        try:
            item = json.loads(json.dumps(item, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            item = None
        if not isinstance(item, dict):
            return _Answer(question.version, None, {}, "its item is no object of JSON values")
        return _Answer(question.version, verdict, item)


class Rulings:
    """The handler's answers to the conflicts of one document, kept from one attempt to the next."""

    def __init__(self, handler: ConflictLambda, identity: Identity) -> None:
        self.handler = handler
        self.identity = identity_of(identity)
        self._answers: dict[str, _Answer] = {}
        self._asked: dict[str, int] = {}
        self._open: dict[str, _Question] = {}
        self._records: set[tuple[str, str]] = set()
        self._deadline = time.monotonic() + EXECUTION_SECONDS

    @property
    def has_open(self) -> bool:
        """Whether the attempt that ran has to run again."""
        return bool(self._open)

    def of(self, response: str, field: str) -> Ruling:
        """The ruling on one mutation of the document, known by its name in the answer."""
        return Ruling(self, response, field)

    def settle(self) -> None:
        """Asks the handler everything that is open; no transaction may be."""
        questions, self._open, self._records = self._open, {}, set()
        for response, question in questions.items():
            self._answers[response] = self.handler.ask(question)

    def decide(self, response: str, question: Callable[[], _Question], found: Stored, model: str) -> _Answer:
        """The answer for this version of the record; raises `Undecided` or the `FieldError` of giving up."""
        answer = self._answers.get(response)
        if answer is not None and answer.version == found.version:
            return answer
        if (model, found.key) in self._records:
            raise Undecided  # an earlier mutation of the document changes the record first
        count = self._asked[response] = self._asked.get(response, 0) + 1
        if count > MAX_ATTEMPTS or time.monotonic() > self._deadline:
            problem = "The record was changed by others again and again while its conflict was being resolved."
            raise FieldError(MAX_CONFLICTS, problem, data=found.record())
        self._open[response] = question()
        self._records.add((model, found.key))
        raise Undecided


@dataclass(frozen=True, slots=True)
class Ruling:
    """How the conflict of one mutation is resolved."""

    rulings: Rulings
    response: str
    field: str

    def on(
        self, schema: Schema, operation: Operation, found: Stored, new: Values, arguments: Mapping[str, Any]
    ) -> Values:
        """The values to store, or for a delete nothing in particular; raises `Undecided` or `FieldError`."""
        fields, stored = operation.model.fields, found.record()
        items = [(parsed(schema, fields, texts), texts) for texts in (new, stored)]

        def question() -> _Question:
            resolver = {
                "tableName": f"{operation.model.name}Table",
                "awsRegion": self.rulings.handler.region,
                "parentType": "Mutation",
                "field": self.field,
                "outputType": operation.model.name,
            }
            payload = {
                "newItem": items[0][0],
                "existingItem": items[1][0],
                "arguments": {**arguments, "input": parsed(schema, fields, arguments["input"])},
                "resolver": resolver,
                "identity": self.rulings.identity,
            }
            return _Question(operation.action, found.version, json.loads(json.dumps(payload)))

        answer = self.rulings.decide(self.response, question, found, operation.model.name)
        if answer.verdict is None:
            raise FieldError(CONFLICT_ERROR, f"The conflict handler failed: {answer.problem}.", data=found.record())
        if answer.verdict is Verdict.REJECT:
            raise FieldError(CONFLICT_UNHANDLED, "Conflict resolver rejects mutation.", data=found.record())
        kept = {name: texts[name] for seen, texts in items for name in seen if _has_same(answer.item, seen, name)}
        return {**printed(schema, fields, answer.item), **kept}


def _has_same(item: Values, other: Values, name: str) -> bool:
    return name in item and json.dumps(item[name], sort_keys=True) == json.dumps(other[name], sort_keys=True)


def identity_of(identity: Identity) -> dict[str, Any] | None:
    """Who calls, as AppSync tells a handler; None for an API key."""
    if identity in (ANYONE, TRUSTED) or identity.auth_mode == API_KEY:
        return None
    claims = dict(identity.claims)
    if identity.auth_mode == AWS_IAM:
        return {"username": identity.username, **claims}
    if identity.auth_mode == AWS_LAMBDA:
        return {"resolverContext": claims}
    groups = claims.get("cognito:groups")
    return {
        "sub": claims.get("sub"),
        "issuer": claims.get("iss"),
        "username": identity.username,
        "groups": groups,
        "claims": claims,
    }
