"""Passwords, throttling and cookies."""

import pytest

from middleware.accounts.cookies import comes_from_elsewhere, cookie_name, is_same, must_be_secure
from middleware.accounts.passwords import WeakPasswordError, check_strength, hash_password, is_outdated, is_right
from middleware.accounts.service import NAME_PATTERN
from middleware.accounts.throttle import OF_ADDRESS, OF_NAME, OF_NAME_ANYWHERE, is_too_many, is_under_attack
from middleware.store.operations.users import Failures


class TestPasswords:
    """Argon2id, and what a password must be."""

    def test_only_the_right_one_is_right(self) -> None:
        """The hash knows its password and no other; two hashes of one password differ."""
        hashed = hash_password("correct horse battery")
        assert hashed.startswith("$argon2id$")
        assert is_right(hashed, "correct horse battery")
        assert not is_right(hashed, "correct horse batterz")
        assert hash_password("correct horse battery") != hashed

    def test_what_is_no_hash_is_never_right(self) -> None:
        """A damaged row lets nobody in, and is no error."""
        assert not is_right("", "anything at all")
        assert not is_right("$argon2id$broken", "anything at all")

    def test_old_parameters_are_noticed(self) -> None:
        """A hash of other parameters is to be made anew, one of today's is not."""
        old = "$argon2id$v=19$m=65536,t=3,p=4$MIIRqgvgQbgj220jfp0MPA$YfwJSVjtjSU0zzV/P3S9nnQ/USre2wvJMjfCIjrTQbg"
        assert is_outdated(old)
        assert not is_outdated(hash_password("correct horse battery"))

    @pytest.mark.parametrize(
        "password",
        [
            *("short", "aaaaaaaaaaaaaa", "abababababab", "adaada", "x" * 201),
            *(
                "1234567890",
                "password123",
                "qwertyuiop",
                "passwordpassword",
                "ada1234567",
                "Password1!",
                "P@ssw0rd2026",
            ),
            *("Welcome12345", "letmein!!!!", "qwerty123456", "iloveyou2", "zxcvbnm,./1", "9876543210a", "Summer2026!"),
        ],
    )
    def test_weak_ones_are_refused(self, password: str) -> None:
        """Too short, too long, too uniform: the message says so."""
        with pytest.raises(WeakPasswordError):
            check_strength(password, "ada")

    def test_the_name_twice_is_refused(self) -> None:
        """What everybody tries first is no password."""
        with pytest.raises(WeakPasswordError, match="easy to guess"):
            check_strength("Mira.BergMira.Berg", "mira.berg")

    @pytest.mark.parametrize("password", ["correct horse battery", "x7#Kq9!bTzW", "Blauer-Berg-17", "ada kocht gern"])
    def test_words_are_taken(self, password: str) -> None:
        """Several words are a good password, and so are letters and signs of chance."""
        check_strength(password, "ada")


class TestNames:
    """Names of users."""

    @pytest.mark.parametrize("name", ["ada", "mira.berg", "m@example.org", "A-1_b"])
    def test_taken(self, name: str) -> None:
        """Letters, digits and a few signs."""
        assert NAME_PATTERN.fullmatch(name)

    @pytest.mark.parametrize("name", ["", "cli:root", "a b", ".ada", "ada\n", "ädä", "x" * 65])
    def test_refused(self, name: str) -> None:
        """Nothing that looks like another actor of the audit, or that cannot be typed."""
        assert not NAME_PATTERN.fullmatch(name)


class TestThrottle:
    """How many wrong passwords are too many."""

    def test_limits(self) -> None:
        """A few for a name, more for an address."""
        assert not is_too_many(Failures(OF_NAME - 1, OF_ADDRESS - 1))
        assert is_too_many(Failures(OF_NAME, OF_NAME))
        assert is_too_many(Failures(0, OF_ADDRESS))
        assert not is_under_attack(Failures(0, 0, OF_NAME_ANYWHERE - 1))
        assert is_under_attack(Failures(0, 0, OF_NAME_ANYWHERE))


class TestCookies:
    """Which cookies travel how, and which forms are ours."""

    @pytest.mark.parametrize(
        ("scheme", "host", "secure"),
        [
            ("https", "billing.example", True),
            ("https", "localhost", True),
            ("http", "billing.example", True),
            ("http", "localhost", False),
            ("http", "127.0.0.1", False),
            ("http", "::1", False),
            ("http", None, True),
        ],
    )
    def test_secure_but_on_this_machine(self, scheme: str, host: str | None, secure: bool) -> None:
        """Cookies go over TLS only, except for http on this very machine."""
        assert must_be_secure(scheme, host) is secure

    def test_names(self) -> None:
        """A secure cookie has the prefix that browsers guard."""
        assert cookie_name("session", secure=True) == "__Host-taiga-billing-session"
        assert cookie_name("session", secure=False) == "taiga-billing-session"

    def test_tokens(self) -> None:
        """An empty expectation fits nothing, not even nothing; odd characters are no error."""
        assert is_same("abc", "abc")
        assert not is_same("abc", "abd")
        assert not is_same("", "")
        assert not is_same("abc", "\udc80")

    @pytest.mark.parametrize(
        ("site", "elsewhere"),
        [("cross-site", True), ("same-site", True), ("same-origin", False), ("none", False), (None, False)],
    )
    def test_other_sites(self, site: str | None, elsewhere: bool) -> None:
        """Browsers say where a form comes from; old ones say nothing and have the token alone."""
        headers = {} if site is None else {"sec-fetch-site": site}
        assert comes_from_elsewhere(headers) is elsewhere
