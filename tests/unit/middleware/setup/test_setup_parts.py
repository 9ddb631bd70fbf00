"""The parts of the set-up: files, names, answers."""

import json
import stat
from decimal import Decimal
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mappings.config.file import parse_mapping
from mappings.invoiceninja.models import NinjaClient, Project
from middleware.settings import load_settings
from middleware.setup.files import UnwritableError, changed_env, changed_mapping, read_env, write_whole
from middleware.setup.matching import propose, targets_of, words
from middleware.setup.projects import Wish, read_wish
from middleware.setup.prompts import AnswerMissingError, AnswerRefusedError, Conversation, Unattended

ENV_EXAMPLE = (Path(__file__).parents[4] / ".env.example").read_text()
ACME = NinjaClient("c1", "0001", "Acme GmbH")
GLOBEX = NinjaClient("c2", "0002", "Globex, Inc.")
CAFE = NinjaClient("c3", "0003", "Café Müller")
WEBSITE = Project("p1", "0001", "Website", "c1", Decimal(0))
SHOP = Project("p2", "0002", "Globex Shop", "c2", Decimal(80))
TARGETS = targets_of([ACME, GLOBEX, CAFE], [WEBSITE, SHOP])


class TestEnvText:
    """`.env` as a text."""

    def test_keeps_what_it_does_not_know(self) -> None:
        """Comments, order and unknown lines stay; what is new comes last."""
        text = "# mine\nOTHER=1\nexport TAIGA_API=http://old\n\n# end"
        assert changed_env(text, {"TAIGA_API": "http://new", "PUBLIC_URL": "https://x"}) == (
            "# mine\nOTHER=1\nTAIGA_API=http://new\n\n# end\n\n# Added by taiga-billing setup\nPUBLIC_URL=https://x\n"
        )

    def test_fills_the_example(self) -> None:
        """The example's empty lines are filled in place, and its shown defaults are switched on."""
        text = changed_env(ENV_EXAMPLE, {"TAIGA_USERNAME": "bridge", "DATA_DIR": "/var/lib/x"})
        assert text.count("TAIGA_USERNAME=") == ENV_EXAMPLE.count("TAIGA_USERNAME=")
        assert "\nTAIGA_USERNAME=bridge\n" in text
        assert "\nDATA_DIR=/var/lib/x\n" in text
        assert "#DATA_DIR" not in text

    @given(st.text(st.characters(exclude_categories=("C", "Zl", "Zp"))).filter(lambda value: "${" not in value))
    def test_values_come_back(self, value: str) -> None:
        """Whatever can be typed is read back as it was."""
        assert read_env(changed_env("X=1\n", {"SECRET": value}))["SECRET"] == value

    @pytest.mark.parametrize("value", ["a\nb", "pass${word}", "a\x00b"])
    def test_what_it_cannot_hold(self, value: str) -> None:
        """What would be read back as something else is refused by name."""
        with pytest.raises(UnwritableError, match="SECRET"):
            changed_env("", {"SECRET": value})

    def test_the_program_reads_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The settings take what was written."""
        monkeypatch.delenv("TAIGA_PASSWORD", raising=False)
        file = tmp_path / ".env"
        write_whole(file, changed_env("", {"TAIGA_PASSWORD": "it's # $5", "TAIGA_WEBHOOK_SECRETS": "a,b"}), 0o600)
        settings = load_settings(_env_file=file)
        assert settings.taiga_password.get_secret_value() == "it's # $5"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


class TestWriting:
    """Files appear whole."""

    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        """A link to the file is followed, and nothing is left beside it."""
        real = tmp_path / "real"
        real.write_text("old")
        link = tmp_path / "link"
        link.symlink_to(real)
        write_whole(link, "new", 0o644)
        assert (link.is_symlink(), real.read_text(), sorted(tmp_path.iterdir())) == (True, "new", [link, real])

    def test_a_folder_that_is_away(self, tmp_path: Path) -> None:
        """What cannot be written is an error of the system."""
        with pytest.raises(OSError, match="away"):
            write_whole(tmp_path / "away" / "file", "x", 0o600)


class TestMappingText:
    """mappings.json as a text."""

    entry = {"taiga_project_id": 2, "invoiceninja_client_id": "c1", "default_hourly_rate": Decimal("75.50")}  # noqa: RUF012 - not changed

    def test_keeps_what_is_there(self) -> None:
        """Numbers keep their digits, and unknown order its place."""
        text = '{"user_rates": {"ada": 95.00}, "project_mappings": [{"taiga_project_id": 1, "x": 1e2}]}'
        changed = changed_mapping(text, [self.entry | {"invoiceninja_project_id": None}], {"timezone": "UTC"})
        assert '"ada": 95.00' in changed
        assert '"x": 1e2' in changed
        assert '"default_hourly_rate": 75.50' in changed
        assert "invoiceninja_project_id" not in changed
        assert "timezone" not in changed
        assert list(json.loads(changed)) == ["user_rates", "project_mappings"]

    def test_a_new_file(self) -> None:
        """A new file has the time zone of the company, and is understood."""
        text = changed_mapping("", [self.entry], {"timezone": "Europe/Brussels"})
        mapping = parse_mapping(text)
        assert mapping.billing_rules.timezone == "Europe/Brussels"
        assert mapping.rules_for(2).project_rate == Decimal("75.50")

    def test_declined_projects(self) -> None:
        """They are understood, and keep their place; one that is added is declined no more."""
        text = changed_mapping("", [], {}, [{"taiga_project_id": 3, "taiga_project_name": "Internal"}])
        assert [one.taiga_project_id for one in parse_mapping(text).declined_projects] == [3]
        more = changed_mapping(text[:-2] + ', "user_rates": {}}', [], {}, [{"taiga_project_id": 2}])
        assert list(json.loads(more)) == ["project_mappings", "declined_projects", "user_rates"]
        assert [one.taiga_project_id for one in parse_mapping(more).declined_projects] == [3, 2]
        assert [one.taiga_project_id for one in parse_mapping(_added(more, 3)).declined_projects] == [2]
        assert "declined_projects" not in _added(_added(more, 3), 2)


def _added(text: str, project: int) -> str:
    return changed_mapping(text, [TestMappingText.entry | {"taiga_project_id": project}], {})


class TestMatching:
    """Names."""

    @pytest.mark.parametrize(
        ("name", "label", "is_sure"),
        [
            ("Acme Website", "Acme GmbH / Website", True),
            ("ACME", "Acme GmbH", True),
            ("Globex Shop", "Globex, Inc. / Globex Shop", True),
            ("cafe muller", "Café Müller", True),
            ("Globexx Shopp", "Globex, Inc. / Globex Shop", True),
        ],
    )
    def test_finds(self, name: str, label: str, is_sure: bool) -> None:
        """Case, accents, legal forms and small slips make no difference; the narrower target wins."""
        found = propose(name, TARGETS)
        assert found is not None
        assert (found.target.label, found.is_sure) == (label, is_sure)

    def test_finds_nothing(self) -> None:
        """What is like nothing is not proposed, nor is anything when there is nothing."""
        assert propose("Internal", TARGETS) is None
        assert propose("Acme", []) is None

    def test_two_clients_of_one_name(self) -> None:
        """Between two equals nobody is sure."""
        found = propose("Acme", targets_of([ACME, NinjaClient("c9", "0009", "Acme AG")], []))
        assert found is not None
        assert not found.is_sure

    def test_words(self) -> None:
        """A name that is nothing but a legal form keeps it."""
        assert words("Müller & Söhne KG") == ("muller", "sohne")
        assert words("AG") == ("ag",)

    def test_a_project_of_a_deleted_client(self) -> None:
        """Projects whose client is gone are no targets."""
        assert targets_of([], [WEBSITE]) == []


class TestWishes:
    """`--map`."""

    def test_read(self) -> None:
        """Client, project and rate; the last two may be missing."""
        assert read_wish("3=abc/def@75.50") == Wish(3, "abc", "def", Decimal("75.50"))
        assert read_wish("3=abc") == Wish(3, "abc", None, None)

    @pytest.mark.parametrize("text", ["abc", "3=", "x=abc", "3=abc@1.234", "3=a b"])
    def test_not_understood(self, text: str) -> None:
        """Anything else is refused with an example."""
        with pytest.raises(ValueError, match="is not like"):
            read_wish(text)


class TestChoosing:
    """A person picks one of many."""

    labels = tuple(f"Client {number}" for number in range(1, 41))

    def _choose(self, answers: str, proposed: int | None = None, labels: tuple[str, ...] = labels) -> str:
        @click.command()
        def ask() -> None:
            click.echo(f"chosen {Conversation().choose('Who?', labels, proposed)}")

        return CliRunner().invoke(ask, input=answers).output

    def test_enter_takes_the_proposal(self) -> None:
        """Enter takes what is proposed; without a proposal it takes none."""
        assert "chosen 4" in self._choose("\n", proposed=4)
        assert "chosen None" in self._choose("\n")

    def test_a_part_of_a_name_narrows_it(self) -> None:
        """A part of a name lists what fits, whose numbers then count; a whole name is enough."""
        output = self._choose("client 3\nnothing\nent 39\n")
        assert "chosen 2" in output
        narrowed = self._choose("ent 3\n2\n")
        assert "11 names fit 'ent 3'" in narrowed
        assert "chosen 29" in narrowed
        assert "no name holds 'zzz'" in self._choose("zzz\n-\n")

    def test_few_are_listed_at_once(self) -> None:
        """A short list is shown before the question."""
        output = self._choose("2\n", labels=("A", "B"))
        assert "1  A" in output
        assert "chosen 1" in output


class TestUnattended:
    """Nobody is there."""

    def test_answers_with_what_was_given(self) -> None:
        """Given values and sure proposals are taken."""
        asker = Unattended()
        assert asker.text("?", "X", "given") == "given"
        assert asker.choose("?", ["a"], 0) == 0
        assert asker.confirm("?")

    def test_refusals_end_it(self) -> None:
        """What is missing is wrong use, what a server refuses a failure."""
        with pytest.raises(AnswerMissingError):
            Unattended().refused("missing: TAIGA_API", is_missing=True)
        with pytest.raises(AnswerRefusedError):
            Unattended().refused("403")
