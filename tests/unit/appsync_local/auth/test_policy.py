"""What `@auth` rules mean: rules times operations times callers, then the fine print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.auth.access import FULL_ACCESS, NO_ACCESS, Access
from django_datastore.appsync_local.auth.claims import group_claim
from django_datastore.appsync_local.auth.identity import ANYONE, TRUSTED, Identity
from django_datastore.appsync_local.auth.policy import LISTEN, RELATED, Caller, Policy, last_claim
from django_datastore.appsync_local.auth.rule_access import RuleAccess
from django_datastore.appsync_local.conf import AUTH_MODES
from django_datastore.appsync_local.errors import FieldError
from django_datastore.exceptions import ConfigurationError, SchemaError
from django_datastore.schema.sdl import parse_sdl

COGNITO, OIDC = "AMAZON_COGNITO_USER_POOLS", "OPENID_CONNECT"


def user(name: str, *groups: str, mode: str = COGNITO, **claims: Any) -> Identity:
    found = {"sub": f"sub-{name}", "username": name, "cognito:groups": list(groups), **claims}
    return Identity(mode, name, found)


CALLERS: Mapping[str, Identity] = {
    "key": ANYONE,
    "iam": Identity("AWS_IAM", role="authenticated"),
    "guest": Identity("AWS_IAM", role="unauthenticated"),
    "admin": Identity("AWS_IAM", role="admin"),
    "alice": user("alice"),
    "bob": user("bob"),
    "carol": user("carol", "Staff", "Other"),
    "oidc": user("alice", mode=OIDC),
    "lambda": Identity("AWS_LAMBDA"),
}
RECORD = {
    "id": "1",
    "title": "T",
    "owner": "sub-alice::alice",
    "writer": "alice",
    "editors": ["sub-bob::bob", "alice"],
    "team": "Staff",
    "teams": ["Staff"],
}
OPERATIONS: Mapping[str, Callable[[Access], object]] = {
    "c": lambda access: access.check_create({"title": "T"}),
    "g": lambda access: access.check_read(RECORD),
    "l": lambda access: None if access.readable is None or access.readable(RECORD) else access.check_read(RECORD),
    "u": lambda access: access.check_update(RECORD, {"id": "1", "title": "U"}),
    "d": lambda access: access.check_delete(RECORD),
}
NAMES = {"c": "create", "g": "get", "l": "list", "u": "update", "d": "delete"}


def policy_of(rules: str, fields: str = "", *, default: str = "API_KEY") -> Policy:
    auth = f"@auth(rules: [{rules}])" if rules else ""
    sdl = (
        f"type Post @model {auth} {{ id: ID! title: String owner: String writer: String editors: [String] "
        f"team: String teams: [String] {fields} }}"
    )
    return Policy(parse_sdl(sdl), default=default, additional=AUTH_MODES)


def access_to(policy: Policy, caller: Identity, operation: str) -> Access:
    return policy.access(caller, policy._schema.models["Post"], operation)


def allowed(policy: Policy, caller: Identity) -> str:
    """The letters of what the caller may do with the record."""
    found = ""
    for letter, attempt in OPERATIONS.items():
        access = access_to(policy, caller, NAMES[letter])
        try:
            access.check()
            attempt(access)
        except FieldError as exc:
            found += "" if exc.error_type == "Unauthorized" else "!"
        else:
            found += letter
    return found


ALL = "cglud"
_TABLE: list[tuple[str, dict[str, str]]] = [
    ("{allow: public}", {"key": ALL}),
    ("{allow: public, operations: [read]}", {"key": "gl"}),
    ("{allow: public, provider: iam}", {"guest": ALL}),  # not the signed-in role: Amplify writes a rule for each
    ("{allow: public, provider: identityPool}", {"guest": ALL}),
    ("{allow: private}", {"alice": ALL, "bob": ALL, "carol": ALL}),
    ("{allow: private, provider: iam}", {"iam": ALL}),
    ("{allow: private, provider: oidc}", {"oidc": ALL}),
    ("{allow: custom}", {"lambda": ALL}),
    ("{allow: custom, operations: [create, get]}", {"lambda": "cg"}),
    # an owner owns what he creates, and nobody reads what is somebody else's
    ("{allow: owner}", {"alice": ALL, "bob": "c", "carol": "c"}),
    ("{allow: owner, provider: oidc}", {"oidc": ALL}),
    ("{allow: owner, operations: [create, update]}", {"alice": "cu", "bob": "c", "carol": "c"}),
    ("{allow: owner, operations: [get]}", {"alice": "g"}),
    ("{allow: owner, operations: [list]}", {"alice": "l"}),
    ("{allow: owner, operations: [delete]}", {"alice": "d"}),
    ('{allow: owner, ownerField: "writer", identityClaim: "username"}', {"alice": ALL, "bob": "c", "carol": "c"}),
    ('{allow: owner, ownerField: "editors"}', {"alice": ALL, "bob": ALL, "carol": "c"}),
    ('{allow: owner, identityClaim: "nobody"}', {}),
    ('{allow: groups, groups: ["Staff"]}', {"carol": ALL}),
    ('{allow: groups, groups: ["Staf", "taff", "None"]}', {}),
    ('{allow: groups, groups: ["Staff"], groupClaim: "roles"}', {}),
    # a create says which group it is for
    ('{allow: groups, groupsField: "team"}', {"carol": "glud"}),
    ('{allow: groups, groupsField: "teams"}', {"carol": "glud"}),
    ('{allow: groups, groupsField: "title"}', {}),
    # rules are or-ed
    ("{allow: owner}, {allow: public, operations: [read]}", {"alice": ALL, "bob": "c", "carol": "c", "key": "gl"}),
    ('{allow: owner}, {allow: groups, groups: ["Staff"]}', {"alice": ALL, "bob": "c", "carol": ALL}),
    ("{allow: owner}, {allow: private, operations: [read]}", {"alice": ALL, "bob": "cgl", "carol": "cgl"}),
    ('{allow: owner}, {allow: owner, ownerField: "editors"}', {"alice": ALL, "bob": ALL, "carol": "c"}),
    (
        "{allow: private, operations: [create]}, {allow: owner, operations: [read]}",
        {"alice": "cgl", "bob": "c", "carol": "c"},
    ),
]


@pytest.mark.parametrize(("rules", "expected"), _TABLE, ids=[rules for rules, _ in _TABLE])
@pytest.mark.parametrize("caller", CALLERS)
def test_rules_times_operations_times_callers(rules: str, expected: Mapping[str, str], caller: str):
    everything = ALL if caller == "admin" else ""
    assert allowed(policy_of(rules), CALLERS[caller]) == expected.get(caller, everything)


@pytest.mark.parametrize("default", AUTH_MODES)
def test_a_model_without_rules_is_open_to_the_default_mode_alone(default: str):
    policy = policy_of("", default=default)
    for name, caller in CALLERS.items():
        is_open = caller.auth_mode == default or name == "admin"
        assert allowed(policy, caller) == (ALL if is_open else "")


def test_a_global_auth_rule_opens_it_to_api_keys():
    sdl = "input AMPLIFY { globalAuthRule: AuthRule = { allow: public } } type Post @model { id: ID! }"
    policy = Policy(parse_sdl(sdl), default=COGNITO, additional=AUTH_MODES)
    is_open = {name for name, caller in CALLERS.items() if access_to(policy, caller, "list") is FULL_ACCESS}
    assert is_open == {"key", "alice", "bob", "carol", "admin"}


@pytest.mark.parametrize("rules", ["{allow: owner}", "{allow: custom, operations: [get]}"])
def test_the_servers_own_code_is_above_all_rules(rules: str):
    assert allowed(policy_of(rules), TRUSTED) == ALL


def test_full_access_is_shared():
    policy = policy_of("{allow: public}, {allow: owner}")
    assert access_to(policy, ANYONE, "update") is FULL_ACCESS
    assert access_to(policy, CALLERS["iam"], "get") is NO_ACCESS
    assert Policy(parse_sdl("type A @model @auth(rules: [{allow: public}]) { id: ID! }")).guards(ANYONE) is None


def test_accesses_are_remembered():
    policy = policy_of("{allow: owner}")
    assert access_to(policy, CALLERS["alice"], "get") is access_to(policy, CALLERS["alice"], "get")
    assert access_to(policy, user("alice"), "get").key == access_to(policy, CALLERS["alice"], "get").key
    assert access_to(policy, CALLERS["bob"], "get").key != access_to(policy, CALLERS["alice"], "get").key


# -- owners ------------------------------------------------------------------------------------------------------------


def created(rules: str, caller: str, **values: Any) -> dict[str, Any]:
    return access_to(policy_of(rules), CALLERS[caller], "create").check_create({"title": "T", **values})


def test_a_create_gets_its_owner():
    assert created("{allow: owner}", "bob")["owner"] == "sub-bob::bob"
    assert created('{allow: owner, ownerField: "editors"}', "bob")["editors"] == ["sub-bob::bob"]
    both = created('{allow: owner}, {allow: owner, ownerField: "editors"}', "bob")
    assert (both["owner"], both["editors"]) == ("sub-bob::bob", ["sub-bob::bob"])


def test_whoever_may_create_anyway_becomes_the_owner_too():
    found = created('{allow: groups, groups: ["Staff"]}, {allow: owner}', "carol")
    assert found["owner"] == "sub-carol::carol"


@pytest.mark.parametrize("owner", ["sub-bob::bob", "bob", "sub-bob"])
def test_the_owner_may_be_given_in_each_spelling(owner: str):
    assert created("{allow: owner}", "bob", owner=owner)["owner"] == owner


@pytest.mark.parametrize("owner", ["sub-alice::alice", "alice", "", None, "sub-bob::alice", ["bob"]])
def test_nobody_creates_in_anothers_name(owner: Any):
    if owner == ["bob"]:
        assert created('{allow: owner, ownerField: "editors"}', "bob", editors=["alice", "bob"])
        return
    with pytest.raises(FieldError):
        created("{allow: owner}", "bob", owner=owner)


def test_an_owner_may_give_it_away():
    access = access_to(policy_of("{allow: owner}"), CALLERS["alice"], "update")
    access.check_update(RECORD, {"owner": "sub-bob::bob"})


@pytest.mark.parametrize("operation", ["update", "delete"])
def test_what_is_missing_is_refused_to_those_who_could_not_touch_it(operation: str):
    def touch(caller: str, rules: str) -> None:
        access = access_to(policy_of(rules), CALLERS[caller], operation)
        access.check_delete({}) if operation == "delete" else access.check_update({}, {"id": "1"})

    touch("key", "{allow: public}")
    with pytest.raises(FieldError):
        touch("alice", "{allow: owner}")


def test_clients_see_the_last_part_of_an_owner():
    assert last_claim("sub-alice::alice") == "alice"
    assert last_claim(["sub-bob::bob", "alice", None]) == ["bob", "alice", None]
    guards = policy_of("{allow: owner}").guards(CALLERS["alice"]) or {}
    assert guards["Post"]["owner"].shows is last_claim
    assert policy_of('{allow: owner, identityClaim: "sub"}').guards(CALLERS["alice"]) is None


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (["A", "B"], ("A", "B")),
        ('["A", "B"]', ("A", "B")),
        ("A", ("A",)),
        ("", ()),
        ("[1]", ()),
        ({"A": 1}, ()),
        (7, ()),
        (None, ()),
        ("[" * 100_000, ("[" * 100_000,)),
    ],
)
def test_group_claims_come_in_three_spellings(claim: Any, expected: tuple[str, ...]):
    assert group_claim({"groups": claim}, "groups") == expected


# -- fields ------------------------------------------------------------------------------------------------------------


def test_an_update_needs_delete_to_set_null():
    policy = policy_of("{allow: owner, operations: [create, update, read]}")
    access = access_to(policy, CALLERS["alice"], "update")
    access.check_update(RECORD, {"id": "1", "title": "U"})
    with pytest.raises(FieldError, match=r"Unauthorized on \[title\]"):
        access.check_update(RECORD, {"id": "1", "title": None})


SECRET = 'secret: String @auth(rules: [{allow: owner}, {allow: groups, groups: ["Staff"], operations: [read]}])'
PROTECTED = ('{allow: private}, {allow: owner}, {allow: groups, groups: ["Staff"]}', SECRET)


def test_a_fields_own_rules_replace_the_models():
    policy = policy_of(*PROTECTED)
    for caller, is_shown in {"alice": True, "bob": False, "carol": True}.items():
        guard = (policy.guards(CALLERS[caller]) or {})["Post"]["secret"]
        assert guard.sees(RECORD) is is_shown
        assert guard.is_redacted  # subscribers would see it in the answers to mutations


def test_a_fields_own_rules_limit_writes():
    policy = policy_of(*PROTECTED)
    access_to(policy, CALLERS["alice"], "update").check_update(RECORD, {"secret": "s"})
    for caller in ("bob", "carol"):
        update = access_to(policy, CALLERS[caller], "update")
        update.check_update(RECORD, {"title": "U"})
        with pytest.raises(FieldError, match=r"Unauthorized on \[secret\]"):
            update.check_update(RECORD, {"title": "U", "secret": "s"})
    create = access_to(policy, Identity(COGNITO, "x", {}), "create")
    with pytest.raises(FieldError, match=r"Unauthorized on \[secret\]"):
        create.check_create({"secret": "s"})
    with pytest.raises(FieldError):
        access_to(policy, CALLERS["bob"], "delete").check_delete(RECORD)  # only with delete on every field


def test_required_fields_cannot_be_kept_from_some_readers():
    with pytest.raises(SchemaError, match="required fields that not all of its readers may read: hidden"):
        policy_of(PROTECTED[0], SECRET.replace("secret: String", "hidden: String!"))


def test_errors_carry_only_what_the_caller_may_see():
    policy = policy_of(*PROTECTED)
    model, record = policy._schema.models["Post"], {**RECORD, "secret": "s", "_version": 3}
    assert Caller(policy, CALLERS["alice"]).seen(model, record) == record
    found = Caller(policy, CALLERS["bob"]).seen(model, record)
    assert found == {**RECORD, "_version": 3}
    assert Caller(policy_of("{allow: owner}"), CALLERS["bob"]).seen(model, record) is None
    assert Caller(policy, CALLERS["alice"]).seen(model, None) is None


def test_denied_fields_are_kept_from_their_caller():
    identity = Identity("AWS_LAMBDA", denied_fields=frozenset({("Post", "title"), ("Query", "listPosts")}))
    caller = Caller(policy_of("{allow: custom}"), identity)
    assert not (caller.guards or {})["Post"]["title"].sees(RECORD)
    caller.check_root("Query", "getPost")
    with pytest.raises(FieldError):
        caller.check_root("Query", "listPosts")


# -- relations ---------------------------------------------------------------------------------------------------------


def relations(post: str, blog: str) -> Policy:
    sdl = (
        f"type Post @model @auth(rules: [{post}]) {{ id: ID! blog: Blog @belongsTo }}"
        f"type Blog @model @auth(rules: [{blog}]) {{ id: ID! posts: [Post] @hasMany }}"
    )
    return Policy(parse_sdl(sdl), additional=AUTH_MODES)


PUBLIC, PRIVATE, OWNER, CUSTOM = "{allow: public}", "{allow: private}", "{allow: owner}", "{allow: custom}"
OIDC_PRIVATE = "{allow: private, provider: oidc}"
TEAM, OIDC_TEAM = '{allow: groups, groupsField: "team"}', '{allow: groups, groupsField: "team", provider: oidc}'
ADMINS, DEVS = '{allow: groups, groups: ["Admin"]}', '{allow: groups, groups: ["Admin", "Dev"]}'


@pytest.mark.parametrize(
    ("post", "blog", "is_redacted"),
    [
        # what Amplify's transformer redacts
        (f"{PUBLIC}, {PRIVATE}", PRIVATE, True),
        (f"{PUBLIC}, {OWNER}", f"{PUBLIC}, {OWNER}", True),
        (CUSTOM, CUSTOM, True),
        (TEAM, TEAM, True),
        (PRIVATE, OWNER, True),
        (DEVS, ADMINS, True),
        (f"{OIDC_PRIVATE}, {TEAM}", f"{OIDC_PRIVATE}, {TEAM}", True),
        (OWNER, OWNER, True),
        # what it does not
        (f"{PRIVATE}, {OWNER}", PRIVATE, False),
        (f"{OIDC_PRIVATE}, {OIDC_TEAM}", f"{OIDC_PRIVATE}, {OIDC_TEAM}", False),
        (PRIVATE, PRIVATE, False),
        (PUBLIC, PUBLIC, False),
        (ADMINS, ADMINS, False),
        # where it lets null and an error through, or what another author may see: null is enough
        (OWNER, '{allow: owner, identityClaim: "ssn"}', True),
        ("{allow: public, provider: iam}", "{allow: private, provider: iam}", True),
        (PRIVATE, ADMINS, True),
    ],
)
def test_events_carry_relations_only_where_all_listeners_see_them(post: str, blog: str, is_redacted: bool):
    guards = relations(post, blog).guards(CALLERS["alice"]) or {}
    for model, field in (("Post", "blog"), ("Blog", "posts")):
        found = guards.get(model, {}).get(field)
        assert (found is not None and found.is_redacted) is is_redacted


def test_models_without_rules_are_seen_by_the_same_callers():
    sdl = "type Post @model { id: ID! blog: Blog @belongsTo } type Blog @model { id: ID! posts: [Post] @hasMany }"
    for default in AUTH_MODES:
        assert Policy(parse_sdl(sdl), default=default).guards(ANYONE) is None


def test_even_the_servers_own_code_publishes_no_more():
    guards = relations(OWNER, OWNER).guards(TRUSTED) or {}
    assert guards["Post"]["blog"].is_redacted


# -- subscriptions -----------------------------------------------------------------------------------------------------


class Event:
    """A record after a mutation that selected some of it."""

    def __init__(self, *selected: str, **values: Any) -> None:
        self.record = {**RECORD, **values}
        self.payload = {name: last_claim(self.record[name]) for name in selected}


def listening(rules: str, caller: str) -> RuleAccess:
    access = access_to(policy_of(rules), CALLERS[caller], LISTEN)
    assert isinstance(access, RuleAccess)
    return access


def test_listeners_hear_of_their_own():
    assert listening("{allow: owner}", "alice").admits_event(Event("owner"))
    assert not listening("{allow: owner}", "bob").admits_event(Event("owner"))
    assert listening('{allow: owner, ownerField: "editors"}', "bob").admits_event(Event("editors"))
    assert listening('{allow: groups, groupsField: "teams"}', "carol").admits_event(Event("teams"))


def test_an_event_without_the_field_that_names_the_owner_reaches_nobody():
    assert not listening("{allow: owner}", "alice").admits_event(Event("title"))


def test_a_namesake_hears_nothing():
    assert not listening("{allow: owner}", "alice").admits_event(Event("owner", owner="another-sub::alice"))


@pytest.mark.parametrize("owner", ["alice", "sub-alice::alice", "sub-alice", "", None])
def test_a_subscription_may_name_its_owner(owner: Any):
    listening("{allow: owner}", "alice").check_owners({"owner": owner})


@pytest.mark.parametrize("owner", ["bob", "sub-bob::bob", 7])
def test_a_subscription_may_not_name_another(owner: str):
    with pytest.raises(FieldError):
        listening("{allow: owner}", "alice").check_owners({"owner": owner})


def test_public_subscriptions_are_open():
    sdl = "type Post @model(subscriptions: {level: public}) @auth(rules: [{allow: owner}]) { id: ID! }"
    policy = Policy(parse_sdl(sdl), additional=AUTH_MODES)
    assert policy.access(CALLERS["bob"], policy._schema.models["Post"], LISTEN) is FULL_ACCESS


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        "{allow: everyone}",
        "{allow: owner, provider: apiKey}",
        "{allow: public, provider: userPools}",
        "{allow: custom, provider: iam}",
        "{allow: groups}",
        '{allow: groups, groups: ["A"], groupsField: "team"}',
        "{allow: groups, groups: []}",
        "{allow: owner, operations: [write]}",
    ],
)
def test_rules_that_mean_nothing_are_a_mistake(rule: str):
    with pytest.raises(SchemaError, match=r"of Post cannot be obeyed|Line 1: @auth"):
        policy_of(rule)


def test_a_model_nobody_could_use_is_a_mistake():
    schema = parse_sdl("type Post @model @auth(rules: [{allow: owner}]) { id: ID! }")
    with pytest.raises(ConfigurationError, match="ADDITIONAL_AUTH_MODES"):
        Policy(schema)
    Policy(schema, additional=[COGNITO])


# -- laws --------------------------------------------------------------------------------------------------------------

_rules = st.lists(st.sampled_from([rules for rules, _ in _TABLE]), min_size=1, max_size=3).map(", ".join)
_names = st.sampled_from(list(CALLERS))
_records = st.fixed_dictionaries(
    {
        "owner": st.sampled_from([None, "alice", "bob", "sub-alice::alice", "sub-bob::bob", "sub-x::alice"]),
        "writer": st.sampled_from([None, "alice", "bob"]),
        "editors": st.sampled_from([None, [], ["alice"], ["bob", "sub-alice::alice"]]),
        "team": st.sampled_from([None, "Staff", "Other", "None"]),
        "teams": st.sampled_from([None, [], ["Staff"], ["None"]]),
    }
)


@given(_rules, _names, _records)
def test_more_rules_never_take_anything_away(rules: str, name: str, record: dict[str, Any]):
    def sees(rules: str) -> bool:
        readable = access_to(policy_of(rules), CALLERS[name], "list").readable
        return readable is None or readable(record)

    single = [sees(rule + "}" if not rule.endswith("}") else rule) for rule in rules.split("}, ")]
    assert sees(rules) is any(single)


@given(_rules, _names, _records, st.sampled_from(["get", "list", "sync", LISTEN, RELATED]))
def test_get_and_lists_agree(rules: str, name: str, record: dict[str, Any], operation: str):
    access = access_to(policy_of(rules), CALLERS[name], operation)
    is_listed = access.readable is None or access.readable(record)
    try:
        access.check_read(record)
    except FieldError:
        assert not is_listed
    else:
        assert is_listed
