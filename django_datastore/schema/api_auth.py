"""What an AppSync API's SDL tells of the `@auth` rules it was made of.

The directives say which auth modes get in, and the inputs which fields name owners and groups. Of the rest (groups by
name, what one signed-in caller may do and another may not) the API knows nothing: the rules live in its resolvers.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphql import FieldDefinitionNode, ObjectTypeDefinitionNode

from django_datastore.schema.api_document import ApiType, base_type

_RULES = {
    "aws_api_key": "allow: public",
    "aws_iam": "allow: private, provider: iam",
    "aws_oidc": "allow: private, provider: oidc",
    "aws_cognito_user_pools": "allow: private",
    "aws_lambda": "allow: custom",
}
_SIGNED_IN = {"aws_cognito_user_pools": "", "aws_oidc": ", provider: oidc"}
"""The modes that know owners and groups, with what their rules say besides."""
_OPERATIONS = ("create", "update", "delete", "get", "list", "sync", "listen")


def auth_rules(model: ApiType) -> list[str]:
    """The rules of a model; none where everything is left to the API's default mode."""
    of_type = _directives(model.node)
    if not of_type:
        return []
    nodes = dict(_root_fields(model))
    alone = {found[0] for node in nodes.values() if len(found := _directives(node)) == 1}
    # A root field without a directive takes the default mode; the type names that mode if a rule is for it.
    default = [name for name in of_type if name not in alone][:1]
    by_mode: dict[str, list[str]] = {mode: [] for mode in of_type}
    for operation, node in nodes.items():
        for mode in _directives(node) or default:
            by_mode[mode].append(operation)
    return [rule for mode, operations in by_mode.items() for rule in _rules(model, mode, operations)]


def added_owners(model: ApiType) -> list[str]:
    """The fields that stand in no data model, because the transformer adds them for owners."""
    taken, order = model.input("Create"), list(model.fields)
    after = order[order.index("_lastChangedAt") + 1 :]
    if taken is None:
        return [name for name in _watched_owners(model) if name in after]
    return [name for name in after if name not in taken and base_type(model.fields[name].type) == "String"]


def _rules(model: ApiType, mode: str, operations: list[str]) -> Iterator[str]:
    wanted = "" if len(operations) == len(_OPERATIONS) else f", operations: [{', '.join(operations)}]"
    owners, groups = _owner_fields(model), _group_fields(model)
    if mode not in _SIGNED_IN or not (owners or groups):
        yield f"{{ {_RULES[mode]}{wanted} }}"
        return
    yield from (f'{{ allow: owner, ownerField: "{name}"{_SIGNED_IN[mode]}{wanted} }}' for name in owners)
    yield from (f'{{ allow: groups, groupsField: "{name}"{_SIGNED_IN[mode]}{wanted} }}' for name in groups)


def _root_fields(model: ApiType) -> Iterator[tuple[str, FieldDefinitionNode]]:
    """The root fields by the operation of `@auth` they belong to."""
    for action in ("create", "update", "delete"):
        if name := model.mutation(action):
            yield action, model.mutations[name]
    for operation, node in (("get", model.get), ("list", model.listing), ("sync", model.sync)):
        if node is not None:
            yield operation, node
    for node in list(model.subscriptions.values())[:1]:
        yield "listen", node


def _directives(node: FieldDefinitionNode | ObjectTypeDefinitionNode) -> list[str]:
    return [item.name.value for item in node.directives or () if item.name.value in _RULES]


def _owner_fields(model: ApiType) -> list[str]:
    return list(dict.fromkeys([*_watched_owners(model), *added_owners(model)]))


def _watched_owners(model: ApiType) -> list[str]:
    """Amplify compares owners in subscription filters by another input than the fields around them."""
    watched = model.subscription_filter
    return [name for name, item in watched.items() if base_type(item.type) == "ModelStringInput"]


def _group_fields(model: ApiType) -> list[str]:
    """Amplify takes the fields that name groups out of subscription filters."""
    taken, watched = model.input("Create") or {}, model.subscription_filter
    if not watched:
        return []
    return [
        name
        for name, item in taken.items()
        if base_type(item.type) == "String" and name in model.fields and name not in watched and "Id" not in name
    ]
