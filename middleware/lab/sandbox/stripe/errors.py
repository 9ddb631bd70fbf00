"""Stripe's error answers: one shape, a few types (docs/facts/stripe.md section 9)."""

from typing import Any


class ApiError(Exception):
    """An answer that is no success; `body` is what the client sees."""

    def __init__(self, status: int, kind: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        told = {key: value for key, value in details.items() if value is not None}
        self.body = {"error": {**told, "message": message, "type": kind}}


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """400: the request is wrong."""
    return ApiError(400, "invalid_request_error", message, param=param, code=code)


def missing(param: str) -> ApiError:
    """400: a parameter is not there."""
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def unknown_parameters(names: list[str]) -> ApiError:
    """400: parameters that this endpoint does not have."""
    plural = "s" if len(names) > 1 else ""
    return invalid(f"Received unknown parameter{plural}: {', '.join(names)}", param=names[0], code="parameter_unknown")


def no_such(kind: str, key: str, *, param: str = "id", status: int = 404) -> ApiError:
    """404: there is no such object (400 when it is only referred to)."""
    message = f"No such {kind}: '{key}'"
    return ApiError(status, "invalid_request_error", message, param=param, code="resource_missing")


def unexpected_state(message: str) -> ApiError:
    """400: the object is not in a state that allows this."""
    return invalid(message, code="payment_intent_unexpected_state")


def declined(decline_code: str, message: str, intent: dict[str, Any]) -> ApiError:
    """402: the card was declined."""
    return ApiError(402, "card_error", message, code="card_declined", decline_code=decline_code, payment_intent=intent)


def unknown_url(method: str, path: str) -> ApiError:
    """404: Stripe has no such address."""
    message = f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs"
    return ApiError(404, "invalid_request_error", message)
