"""The answers of Taiga when it refuses, in their several shapes (docs/facts/taiga.md section 7).

`{"_error_message", "_error_type"}`, `{"detail", "code"}` for tokens, `{"field": ["message"]}` for validation, and
`{"error"}` for crashes, which come as JSON text with the content type of a web page.
"""

from typing import Any

_EXCEPTIONS = "taiga.base.exceptions"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="api"'}


class ApiError(Exception):
    """A refusal with its HTTP status, JSON body and extra headers."""

    def __init__(
        self,
        status: int,
        body: dict[str, Any],
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}
        self.content_type = content_type


def _named(status: int, message: str, kind: str, headers: dict[str, str] | None = None) -> ApiError:
    return ApiError(status, {"_error_message": message, "_error_type": f"{_EXCEPTIONS}.{kind}"}, headers)


def bad_request(message: str) -> ApiError:
    """400 with a message for the whole request."""
    return _named(400, message, "BadRequest")


def parse_error(reason: str) -> ApiError:
    """400: the body is not JSON."""
    return _named(400, f"JSON parse error - {reason}", "ParseError")


def invalid(**fields: str) -> ApiError:
    """400 with a list of messages for each field."""
    return ApiError(400, {name: [message] for name, message in fields.items()})


def bad_version(message: str = "The version parameter is not valid") -> ApiError:
    """400: the `version` that came with a change is missing, too high, or stale; here the message is no list."""
    return ApiError(400, {"version": message})


def not_authenticated(message: str = "Authentication credentials were not provided.") -> ApiError:
    """401: nobody is logged in, or an application token is unknown."""
    return _named(401, message, "NotAuthenticated", _CHALLENGE)


def bad_credentials() -> ApiError:
    """401: wrong user name or password."""
    body = {"detail": "No active account found with the given credentials", "code": "invalid_credentials"}
    return ApiError(401, body, _CHALLENGE)


def bad_access_token() -> ApiError:
    """401: the bearer token is expired or was never one."""
    message = {"token_class": "AccessToken", "token_type": "access", "message": "Token is invalid or expired"}
    body = {
        "detail": "Given token not valid for any token type",
        "code": "token_not_valid",
        "messages": [message],
    }
    return ApiError(401, body, _CHALLENGE)


def bad_refresh_token() -> ApiError:
    """401: the refresh token is used up, expired, or was never one."""
    return ApiError(401, {"detail": "Token is invalid or expired", "code": "token_not_valid"}, _CHALLENGE)


def forbidden(message: str = "You do not have permission to perform this action.") -> ApiError:
    """403: logged in, but not allowed."""
    return _named(403, message, "PermissionDenied")


def not_found(message: str = "") -> ApiError:
    """404 with Taiga's often empty message."""
    return ApiError(404, {"_error_message": message})


def no_match(model: str) -> ApiError:
    """404: no row of this model has the wanted id."""
    return not_found(f"No {model} matches the given query.")


def method_not_allowed(method: str) -> ApiError:
    """405: the path exists, but not with this method."""
    return _named(405, f"Method '{method}' not allowed.", "MethodNotAllowed")


def throttled(seconds: int) -> ApiError:
    """429: too many requests; the wait stands in a header of Taiga's own, in seconds (no Retry-After)."""
    message = f"Request was throttled.Expected available in {max(seconds - 1, 0)} seconds."
    return _named(429, message, "Throttled", {"X-Throttle-Wait-Seconds": str(seconds)})


def crashed() -> ApiError:
    """500: an exception on the server."""
    return ApiError(500, {"error": "Server application error"}, content_type="text/html; charset=utf-8")
