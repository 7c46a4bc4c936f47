"""System checks: what keeps a registered model or the settings from working, with the way out. Ids are not reused.

| id | meaning |
|---|---|
| E001 | auto-increment key |
| E002 | field AppSync has no type for |
| E003 | (no more: a registration that names a field that does not exist is refused at once) |
| E004 | the model lies on another database than the outbox |
| E005 | foreign key to a model that is not registered |
| E006 | model without a table of its own |
| E007 | wire name twice, or no GraphQL name |
| E008 | two models with the same wire name |
| E009 | unusable settings |
| E010 | foreign key to a field that is not the key |
| E011 | type AppSync does not have |
| E012 | sync expression that AppSync cannot filter by |
| E020 | type that the field's values cannot cross as |
| E021 | fields that cannot travel together |
| W001 | required field that is not synced |
| W002 | endpoint without TLS that is not on this machine |
| W030 | a manager that gives something else than a QuerySet: its writes may escape |
| W031 | an override of a method that writes, which does not call Django's |
| W010 | 64-bit integer as `Int`, which has 32 |
| W011 | moment as `AWSTimestamp`, which holds whole seconds |
| W012 | text key that may be longer than keys can be |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.db import router
from django.db.models import Q

from django_datastore import conf, registry
from django_datastore.appsync.endpoint import Endpoint
from django_datastore.exceptions import ConfigurationError, InvalidPredicate, SchemaError
from django_datastore.introspection import Problem, SyncedModel
from django_datastore.models import MutationEvent
from django_datastore.predicates import graphql
from django_datastore.schema import naming
from django_datastore.schema.scalars import SCALARS
from django_datastore.storage.capture import uncaptured


def register_checks() -> None:
    """Make Django run them."""
    checks.register(check_models, checks.Tags.models)
    checks.register(check_settings, "django_datastore")


def check_models(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Every registered model can be synced."""
    labels = None if app_configs is None else {config.label for config in app_configs}
    found: list[checks.CheckMessage] = []
    names: dict[str, SyncedModel] = {}
    for sync in registry.all():
        if labels is not None and sync.model._meta.app_label not in labels:
            continue
        problems = [*_introspection_problems(sync), *_database_problems(sync), *uncaptured.problems(sync.model)]
        if sync.name in names:
            message = (
                f"{sync.model._meta.label} and {names[sync.name].model._meta.label} both are {sync.name!r} in the API."
            )
            problems.append(Problem("E008", message, "Set model_name in one of the registrations."))
        names[sync.name] = sync
        found += [_message(problem, sync) for problem in problems]
    return found


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """`DATASTORE` can be used."""
    try:
        settings = conf.current()
        endpoint = Endpoint.parse(settings.ENDPOINT) if settings.ENDPOINT else None
    except ConfigurationError as exc:
        return [checks.Error(str(exc), hint="See the settings reference.", id="django_datastore.E009")]
    if endpoint is None or not endpoint.is_open_to_all:
        return []
    return [
        checks.Warning(
            f"DATASTORE['ENDPOINT'] is {endpoint.http_url!r}: without TLS all on the way can read the API key and "
            "all records.",
            hint="Use https://. On a network you trust: SILENCED_SYSTEM_CHECKS = ['django_datastore.W002'].",
            id="django_datastore.W002",
        )
    ]


def _introspection_problems(sync: SyncedModel) -> list[Problem]:
    try:
        return [*sync.problems, *_type_problems(sync), *_expression_problems(sync)]
    except SchemaError as exc:
        return [Problem("E002", str(exc), "Mend `types` of the registration.")]


def _type_problems(sync: SyncedModel) -> Iterator[Problem]:
    known = sorted({*SCALARS, *registry.as_schema().enums})
    for name, text in sync.declarations.types.items():
        bare = text.strip("[]!")
        if bare not in known:
            yield Problem(
                "E011",
                f"types of the registration of {sync.model._meta.label} gives {name!r} the type {bare!r}, which is no "
                "scalar of AppSync and no enum of a registered model.",
                naming.did_you_mean(bare, known).strip() or f"Types: {', '.join(known)}.",
            )


def _expression_problems(sync: SyncedModel) -> Iterator[Problem]:
    if not isinstance(sync.sync_expression, Q):
        return  # what a method returns is seen when it is asked
    try:
        graphql.to_filter(sync.sync_expression, sync)
    except InvalidPredicate as exc:
        yield Problem(
            "E012",
            f"The sync_expression of {sync.model._meta.label} cannot be asked for: {exc}",
            "Use synced fields and lookups that AppSync's filters have.",
        )


def _database_problems(sync: SyncedModel) -> list[Problem]:
    model, outbox = router.db_for_write(sync.model), router.db_for_write(MutationEvent)
    if model == outbox:
        return []
    return [
        Problem(
            "E004",
            f"{sync.model._meta.label} is written to database {model!r}, and the outbox lies in {outbox!r}: "
            "row and mutation could not commit together.",
            f"Route both to one database, or do not register {sync.model.__name__}.",
        )
    ]


def _message(problem: Problem, sync: SyncedModel) -> checks.CheckMessage:
    kind = checks.Warning if problem.code.startswith("W") else checks.Error
    return kind(problem.message, hint=problem.hint, obj=sync.model, id=f"django_datastore.{problem.code}")
