"""compose.yaml, as far as it can be checked without Docker: its shape, its order, and that it fits the program."""

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from middleware.cli import COMMANDS
from middleware.settings import Settings

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "compose.yaml").read_text("utf-8")
PINNED_IMAGE = re.compile(r"[a-z0-9./-]+:\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?$")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "services", "volumes"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["image", "restart", "init", "mem_limit", "pids_limit", "cap_drop", "security_opt"],
                "additionalProperties": False,
                "properties": {
                    "image": {"type": "string"},
                    "build": {"const": "."},
                    "command": {"type": "array", "items": {"type": "string"}},
                    "init": {"const": True},
                    "env_file": {"const": ".env"},
                    "environment": {"type": "object", "additionalProperties": {"type": "string"}},
                    "restart": {"type": "string", "pattern": "^(unless-stopped|on-failure(:[0-9]+)?)$"},
                    "stop_grace_period": {"$ref": "#/$defs/duration"},
                    "shm_size": {"type": "string"},
                    "ports": {"type": "array", "items": {"type": "string"}},
                    "volumes": {"type": "array", "items": {"type": ["string", "object"]}},
                    "read_only": {"type": "boolean"},
                    "tmpfs": {"type": "array", "items": {"type": "string"}},
                    "cap_drop": {"const": ["ALL"]},
                    "cap_add": {"type": "array", "items": {"type": "string"}},
                    "mem_limit": {"type": "string", "pattern": "^[0-9]+[mg]$"},
                    "pids_limit": {"type": "integer"},
                    "security_opt": {"type": "array", "items": {"type": "string"}},
                    "depends_on": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "object",
                            "required": ["condition"],
                            "additionalProperties": False,
                            "properties": {
                                "condition": {"enum": ["service_healthy", "service_completed_successfully"]}
                            },
                        },
                    },
                    "healthcheck": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "test": {"type": "array", "items": {"type": "string"}},
                            "interval": {"$ref": "#/$defs/duration"},
                            "timeout": {"$ref": "#/$defs/duration"},
                            "start_period": {"$ref": "#/$defs/duration"},
                            "retries": {"type": "integer"},
                            "disable": {"type": "boolean"},
                        },
                    },
                },
            },
        },
        "volumes": {"type": "object"},
    },
    "$defs": {"duration": {"type": "string", "pattern": "^[0-9]+s$"}},
}


class TestCompose:
    """A person's deployment: ordered start, health checks, nothing lost when it stops."""

    compose: dict[str, Any] = yaml.safe_load(TEXT)
    services: dict[str, dict[str, Any]] = compose["services"]

    def test_has_the_known_shape(self) -> None:
        """Only known keys, with values of the right kind; YAML's own traps (yes, 08:00) would show here."""
        jsonschema.validate(self.compose, SCHEMA)
        assert set(self.services) == {"migrate", "receiver", "worker", "postgres", "redis"}

    def test_pins_every_foreign_image(self) -> None:
        """No image is taken as `latest` or by its major version alone."""
        for service in self.services.values():
            assert PINNED_IMAGE.match(service["image"])

    def test_one_image_carries_the_version_of_the_project(self) -> None:
        """Receiver, worker and migration are the same build."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        images = {service["image"] for service in self.services.values() if "build" in service}
        assert images == {f"taiga-billing:{project['project']['version']}"}

    def test_commands_exist(self) -> None:
        """Each of our services runs a command of the command line."""
        for service in self.services.values():
            if "build" in service:
                assert service["command"][0] in COMMANDS

    def test_starts_in_order(self) -> None:
        """Nobody starts before the servers are healthy and the schema is there."""
        for name in ("receiver", "worker"):
            conditions = {other: entry["condition"] for other, entry in self.services[name]["depends_on"].items()}
            assert conditions == {
                "migrate": "service_completed_successfully",
                "postgres": "service_healthy",
                "redis": "service_healthy",
            }

    def test_whoever_is_waited_for_has_a_health_check(self) -> None:
        """A service that others wait for to be healthy can become healthy."""
        for service in self.services.values():
            for other, entry in service.get("depends_on", {}).items():
                if entry["condition"] == "service_healthy":
                    assert self.services[other]["healthcheck"]["test"]

    def test_data_lives_in_declared_volumes(self) -> None:
        """PostgreSQL and Redis keep their data in named volumes, and Redis its append-only file."""
        used = {
            volume.split(":")[0]
            for service in self.services.values()
            for volume in service["volumes" if "volumes" in service else "tmpfs"]
            if isinstance(volume, str)
        }
        assert used == set(self.compose["volumes"])
        command = self.services["redis"]["command"]
        assert command[command.index("--appendonly") + 1] == "yes"

    def test_mounts_the_folder_of_the_mapping_file(self) -> None:
        """Not the file itself: one that an editor puts in its place would not be seen in the container."""
        for service in self.services.values():
            if "build" in service:
                (mount,) = service["volumes"]
                file = Path(service["environment"]["MAPPINGS_FILE"])
                assert (mount["type"], Path(mount["target"]), mount["read_only"]) == ("bind", file.parent, True)
                assert (ROOT / mount["source"]).is_dir(), "a clone has it, so that Docker need not make it as root"

    def test_keeps_the_mapping_of_an_installation_out_of_git(self) -> None:
        """What a person puts into the mounted folder is not offered for a commit."""
        rules = (ROOT / "config" / ".gitignore").read_text("utf-8").splitlines()
        assert [line for line in rules if not line.startswith("#")] == ["*", "!.gitignore"]

    def test_work_may_be_finished_before_the_end(self) -> None:
        """Docker waits longer than the program's own limit."""
        limit = Settings.model_fields["shutdown_seconds"].default
        for name in ("receiver", "worker"):
            assert int(self.services[name]["stop_grace_period"].rstrip("s")) > limit

    def test_sets_only_variables_that_exist(self) -> None:
        """A misspelt variable would be ignored in silence."""
        known = {name.upper() for name in Settings.model_fields}
        for service in self.services.values():
            if "build" in service:
                assert set(service["environment"]) <= known

    def test_asks_only_for_variables_of_the_example(self) -> None:
        """What compose.yaml reads from .env is explained there."""
        wanted = set(re.findall(r"\$\{([A-Z_]+)", TEXT))
        assert wanted <= set(
            re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text("utf-8"), flags=re.MULTILINE)
        )


class TestKubernetes:
    """deploy/kubernetes: the same program, with its own settings and commands, and probes."""

    parts = tuple(yaml.safe_load_all((ROOT / "deploy/kubernetes/taiga-billing.yaml").read_text("utf-8")))

    def test_runs_what_exists(self) -> None:
        """Each container runs a command of the program, sets known variables, and is probed on its own port."""
        known = {name.upper() for name in Settings.model_fields}
        for part in (one for one in self.parts if one["kind"] == "Deployment"):
            pod = part["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            variables = {one["name"]: one["value"] for one in container["env"]}
            assert container["args"][0] in COMMANDS
            assert set(variables) <= known
            port = variables["PORT" if container["args"] == ["serve"] else "WORKER_PORT"]
            assert str(container["livenessProbe"]["httpGet"]["port"]) == port
            assert pod["enableServiceLinks"] is False
            assert pod["terminationGracePeriodSeconds"] > Settings.model_fields["shutdown_seconds"].default
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert part["spec"]["selector"]["matchLabels"] == part["spec"]["template"]["metadata"]["labels"]

    def test_the_service_leads_to_the_receiver(self) -> None:
        """By its labels, and not to the counters."""
        (service,) = [one for one in self.parts if one["kind"] == "Service"]
        labels = [one["spec"]["selector"]["matchLabels"] for one in self.parts if one["kind"] == "Deployment"]
        assert service["spec"]["selector"] in labels
        assert [port["targetPort"] for port in service["spec"]["ports"]] == [8000]
