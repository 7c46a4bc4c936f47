from __future__ import annotations

from typing import Any

import pytest

from django_datastore.appsync import errors
from django_datastore.appsync.errors import AnswerRefused, Attempt
from django_datastore.exceptions import (
    BadModel,
    BadRecord,
    ConditionFailed,
    ConflictUnhandled,
    ServerError,
    SyncError,
    Throttled,
    TransientError,
    Unauthorized,
)

ATTEMPT = Attempt("api.example.com", process="mutate", operation="update", model="Post", secrets=("da2-secret",))


@pytest.mark.parametrize(
    ("error_type", "message", "expected"),
    [
        # The credentials, or what they may do
        ("Unauthorized", "Not Authorized to access updatePost on type Mutation", Unauthorized),
        ("UnauthorizedException", "You are not authorized to make this call.", Unauthorized),
        # as AWS gateways spell it in headers
        ("UnauthorizedException:http://internal.amazon.com/coral/x", "", Unauthorized),
        ("com.amazonaws.appsync#ExpiredTokenException", "", Unauthorized),
        # the API may not use its own table: nobody's credentials here mend that
        ("DynamoDB:AccessDeniedException", "User is not authorized to perform", SyncError),
        # Conflict detection
        ("ConflictUnhandled", "Conflict resolver rejects mutation.", ConflictUnhandled),
        ("ConflictError", "The conflict handler failed", ServerError),
        ("MaxConflicts", "Too many retries", ServerError),
        # Conditions, with and without the data source in front
        ("ConditionalCheckFailedException", "The conditional request failed", ConditionFailed),
        ("DynamoDB:ConditionalCheckFailedException", "The conditional request failed", ConditionFailed),
        # Too fast
        ("ThrottlingException", "Rate exceeded", Throttled),
        ("LimitExceededException", "Rate exceeded", Throttled),
        ("DynamoDB:ProvisionedThroughputExceededException", "", Throttled),
        # The service broke
        ("InternalFailure", "null", ServerError),
        ("ExecutionTimeout", "Execution timed out.", ServerError),
        # The client wrote a field of the service
        ("BadRequest", "_ttl is reserved", BadRecord),
        ("DynamoDB:ValidationException", "Item size has exceeded the maximum allowed size", BadRecord),
        # Values that do not fit
        (None, "Variable 'name' has coerced Null value for NonNull type 'String!'", BadRecord),
        (None, "Variable 'rating' has an invalid value.", BadRecord),
        (None, "Variable '$input' got invalid value 1 at 'input.id'; ID cannot represent value: 1.5", BadRecord),
        (None, "Variable '$input' of required type 'X!' was not provided.", BadRecord),
        (None, "Cannot return null for non-nullable type: 'String' within parent 'Post'", BadRecord),
        # Names the API does not know
        (None, "Validation error of type FieldUndefined: Field 'x' in type 'Post' is undefined", BadModel),
        (None, "Validation error of type UnknownType: Unknown type CreateXInput", BadModel),
        ("ValidationError", "something about the document", BadModel),
        (
            None,
            "The variables input contains a field name 'x' that is not defined for input object type 'CreatePostInput'",
            BadModel,
        ),
        # a field unknown to the input is the model's fault, though the value is called invalid
        (None, "Variable '$input' got invalid value {'x': 1}; Field 'x' is not defined by type 'A'.", BadModel),
        (None, "Cannot query field 'syncPosts' on type 'Query'.", BadModel),
        (None, "Unknown type 'UpdatePostInput'.", BadModel),
        ("BadRequestException", "Schema is not configured for mutations.", BadModel),
        ("OperationDisabled", "", BadModel),
        ("UnsupportedOperation", "", BadModel),
        # Nobody knows
        ("Custom:Whatever", "no idea", SyncError),
        (None, "no idea", SyncError),
        (None, None, SyncError),
    ],
)
def test_graphql_error_becomes(error_type: str | None, message: str | None, expected: type[SyncError]) -> None:
    found = errors.from_graphql({"errorType": error_type, "message": message}, ATTEMPT)

    assert type(found) is expected


@pytest.mark.parametrize(
    ("error_type", "maybe_applied"),
    [
        ("ThrottlingException", False),  # refused before it was looked at
        ("InternalFailure", True),
        ("MaxConflicts", True),
    ],
)
def test_transient_error_says_whether_it_may_have_been_applied(error_type: str, maybe_applied: bool) -> None:
    found = errors.from_graphql({"errorType": error_type}, ATTEMPT)

    assert isinstance(found, TransientError)
    assert found.maybe_applied is maybe_applied


@pytest.mark.parametrize("error_type", ["ConflictUnhandled", "DynamoDB:ConditionalCheckFailedException"])
def test_refused_mutation_carries_the_servers_record(error_type: str) -> None:
    record = {"id": "1", "title": "theirs", "_version": 7}

    found = errors.from_graphql({"errorType": error_type, "message": "no", "data": record}, ATTEMPT)

    assert found.remote == record
    assert "theirs" not in str(found) + repr(found.cause)


def test_exception_says_what_was_attempted_where_and_why() -> None:
    found = errors.from_graphql({"errorType": "ConflictUnhandled", "message": "Rejected."}, ATTEMPT)

    assert str(found) == "Cannot update Post at 'api.example.com': ConflictUnhandled: Rejected."
    assert (found.process, found.operation, found.model) == ("mutate", "update", "Post")
    assert found.error_type == "ConflictUnhandled"


def test_exception_does_not_repeat_the_key() -> None:
    assert "da2-secret" not in str(errors.from_graphql({"message": "unknown key da2-secret"}, ATTEMPT))


@pytest.mark.parametrize(
    ("status", "expected", "maybe_applied"),
    [
        (200, ServerError, True),  # a page where an answer should be: who knows what is behind it
        (302, ServerError, False),  # somewhere else
        (400, ServerError, False),
        (401, Unauthorized, None),
        (403, Unauthorized, None),
        (404, ServerError, False),  # nothing there to execute it
        (408, ServerError, True),
        (413, BadRecord, None),  # too large, and always will be
        (429, Throttled, False),
        (500, ServerError, True),
        (502, ServerError, True),
        (504, ServerError, True),
    ],
)
def test_status_without_graphql_becomes(status: int, expected: type[SyncError], maybe_applied: bool | None) -> None:
    found = errors.from_http(AnswerRefused(status), ATTEMPT)

    assert type(found) is expected
    assert getattr(found, "maybe_applied", None) is maybe_applied


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        # the type says more than the status
        (400, {"errorType": "ThrottlingException"}, Throttled),
        (401, {"errorType": "UnauthorizedException", "message": "API key expired"}, Unauthorized),
        # the status says more than an unknown type
        (401, {"errorType": "Surprise"}, Unauthorized),
        (429, {"message": "slow down"}, Throttled),
        (503, {"message": "try later"}, ServerError),
        (400, {"errorType": "MalformedHttpRequestException"}, SyncError),
    ],
)
def test_error_status_with_graphql_error_becomes(status: int, error: dict[str, Any], expected: type[SyncError]) -> None:
    assert type(errors.from_http(AnswerRefused(status, error=error), ATTEMPT)) is expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"errors": [{"errorType": "UnauthorizedException", "message": "Permission denied"}]}, Unauthorized),
        ({"errors": [{"errorType": "Surprise", "errorCode": 401}]}, Unauthorized),
        ({"errors": [{"errorType": "LimitExceededError"}]}, Throttled),
        ({"errors": [{"errorCode": 500, "message": "sorry"}]}, ServerError),
        ({"errors": [{"errorType": "MaxSubscriptionsReachedError"}]}, SyncError),
        # no record is to blame for a bad request about a socket
        ({"errors": [{"errorType": "BadRequestException"}]}, SyncError),
        # shapes in the wild
        ({"errors": {"errorType": "Unauthorized"}}, Unauthorized),
        ([{"errorType": "Unauthorized"}], Unauthorized),
        ({"message": "hm"}, SyncError),
        ({"errors": ["hm"]}, SyncError),
        ({"errors": []}, SyncError),
        ("hm", SyncError),
        (None, SyncError),
    ],
)
def test_error_frame_becomes(payload: Any, expected: type[SyncError]) -> None:
    assert type(errors.from_frame(payload, ATTEMPT)) is expected


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ("Validation error of type UnknownArgument: Unknown field argument filter @ 'onCreatePost'", True),
        ("Filters exceed maximum attributes limit 10", True),
        ("subscription exceeds maximum value limit 5 for operator `in`.", True),
        ("The variables input contains a field name 'not' that is not defined for input object type 'X'", True),
        ("Permission denied", False),
    ],
)
def test_refusal_of_a_filter_is_recognised(message: str, refused: bool) -> None:
    error = errors.from_frame({"errors": [{"message": message}]}, ATTEMPT)

    assert errors.refuses_filter(error) is refused
