"""Every way in which work can fail, classified once: where the failure is seen.

    WorkError
     +- NeedsPerson            a person must act (bad hours, unknown project): the event is dead, with a hint
     +- RetryLater             the handler itself asks for another attempt after a delay
     +- RemoteError            a remote system failed us; raised by the clients only
         +- Unreachable        no connection: the request was not carried out
             +- Suspended      not even sent: the system has been failing everybody, or is asked too much
         +- Doubtful           sent, but the answer is lost or makes no sense: it may have been carried out
         +- ServerError        5xx: it may have been carried out
         +- Throttled          429, or Invoice Ninja's "Duplicate request": later, after `retry_after` seconds
         +- Refused            our credentials are not accepted: everything for this system waits, loudly
         +- Rejected           any other 4xx: the request is wrong and stays wrong
             +- NotFound       the record does not exist (any more)

The retry policy (`middleware.pipeline.retry`) decides by these classes alone.
"""

from collections.abc import Mapping, Sequence

from mappings.codes import Code


class WorkError(Exception):
    """Base of all failures of a convergence. `code` is what programs compare (`mappings.codes`)."""

    code: Code


class NeedsPerson(WorkError):
    """Only a person can repair this. `reason` says what is wrong, `hint` what to do."""

    def __init__(self, code: Code, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.hint = hint


class RetryLater(WorkError):
    """Try again after `delay` seconds; does not count as a failed attempt."""

    def __init__(self, code: Code, reason: str, delay: float) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.delay = delay


class RemoteError(WorkError):
    """A remote system failed. `system` is `taiga`, `invoiceninja` or `stripe`; the message never holds a secret."""

    def __init__(self, system: str, request: str, message: str, *, status: int | None = None) -> None:
        answer = f" answered {status}" if status is not None else ""
        super().__init__(f"{system}: {request}{answer}: {message}")
        self.system = system
        self.request = request
        self.message = message
        self.status = status
        self.is_outage = False
        """Whether the system fails everybody at present: then no event is given up because of it."""


class Unreachable(RemoteError):
    """The connection could not be made: nothing was carried out."""

    code = Code.UNREACHABLE


class Suspended(Unreachable):
    """Not sent: the system is left alone for now. Try again after `delay` seconds; this attempt counts for nothing."""

    code = Code.PAUSED

    def __init__(self, system: str, request: str, message: str, *, delay: float) -> None:
        super().__init__(system, request, message)
        self.delay = delay
        self.is_outage = True


class Doubtful(RemoteError):
    """The answer is lost (timeout, cut connection) or is not what the API answers (HTML with 200): look it up."""

    code = Code.NO_ANSWER


class ServerError(RemoteError):
    """A 5xx answer: the request may have been carried out anyway."""

    code = Code.SERVER_ERROR


class Throttled(RemoteError):
    """Asked too much: wait `retry_after` seconds."""

    code = Code.THROTTLED

    def __init__(
        self, system: str, request: str, message: str, *, retry_after: float, status: int | None = None
    ) -> None:
        super().__init__(system, request, message, status=status)
        self.retry_after = retry_after


class Refused(RemoteError):
    """The credentials are not accepted."""

    code = Code.CREDENTIALS_REFUSED


class Rejected(RemoteError):
    """The server understood the request and refuses it. `errors` are its messages by field ("" for the record)."""

    code = Code.REJECTED

    def __init__(
        self,
        system: str,
        request: str,
        message: str,
        *,
        status: int | None = None,
        errors: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(system, request, message, status=status)
        self.errors: Mapping[str, Sequence[str]] = errors or {}

    def names(self, field: str) -> bool:
        """Whether the server complains about this field (`number`, `client_id`, ...)."""
        return field in self.errors


class NotFound(Rejected):
    """The record does not exist, or not for our account."""

    code = Code.NOT_FOUND
