"""Each shipped alert rule fires when it should and is silent when all is well, as Prometheus evaluates it.

Needs promtool (Debian's package prometheus); skipped where it is missing.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

RULES = Path(__file__).parents[3] / "deploy" / "monitoring" / "alerts.yml"
RECEIVER, WORKER = 'job="taiga-billing-receiver",instance="r"', 'job="taiga-billing-worker",instance="w"'

# Series by a short name, with their values a minute apart while all is well; some things failed long ago.
WELL: dict[str, tuple[str, str]] = {
    "receiver": (f"up{{{RECEIVER}}}", "1x60"),
    "worker": (f"up{{{WORKER}}}", "1x60"),
    "dead": (f'taiga_billing_events{{{RECEIVER},status="dead"}}', "0x60"),
    "waiting": (f'taiga_billing_events{{{RECEIVER},status="received"}}', "7x60"),
    "oldest": (f"taiga_billing_oldest_due_seconds{{{RECEIVER}}}", "4x60"),
    "rejected": (f'taiga_billing_rejected_total{{{RECEIVER},source="taiga",reason="wrong_signature"}}', "12x60"),
    "answered": (f'taiga_billing_remote_seconds_count{{{WORKER},system="taiga",status="200"}}', "0+50x60"),
    "failing": (f'taiga_billing_remote_seconds_count{{{WORKER},system="taiga",status="503"}}', "3x60"),
    "refused": (f'taiga_billing_remote_seconds_count{{{WORKER},system="taiga",status="401"}}', "1x60"),
    "quick": (f'taiga_billing_ack_seconds_bucket{{{RECEIVER},source="taiga",le="0.01"}}', "0+100x60"),
    "slow": (f'taiga_billing_ack_seconds_bucket{{{RECEIVER},source="taiga",le="1"}}', "0+100x60"),
    "slower": (f'taiga_billing_ack_seconds_bucket{{{RECEIVER},source="taiga",le="5"}}', "0+100x60"),
    "all": (f'taiga_billing_ack_seconds_bucket{{{RECEIVER},source="taiga",le="+Inf"}}', "0+100x60"),
    "mapping": (f"taiga_billing_mapping_valid{{{WORKER}}}", "1x60"),
    "alerts": (f'taiga_billing_alerts_total{{{WORKER},kind="dead",result="failed"}}', "2x60"),
}
# What is wrong, and the labels with which the rule fires after fifty minutes.
WRONG: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "TaigaBillingReceiverIsDown": ({"receiver": "1x10 0x50"}, {"job": "taiga-billing-receiver", "instance": "r"}),
    "TaigaBillingNoWorker": ({"worker": "1x10 0x50"}, {}),
    "TaigaBillingDeadEvents": ({"dead": "0x10 2x50"}, {}),
    "TaigaBillingEventsWait": ({"oldest": "4x10 400x50"}, {}),
    "TaigaBillingWebhooksRefused": ({"rejected": "12+3x60"}, {"source": "taiga", "reason": "wrong_signature"}),
    "TaigaBillingAnotherSystemFails": ({"failing": "0+20x60"}, {"system": "taiga"}),
    "TaigaBillingCredentialsRefused": ({"refused": "1+1x60"}, {"system": "taiga"}),
    "TaigaBillingSlowAcknowledgements": ({"quick": "0+10x60", "slow": "0+50x60"}, {}),
    "TaigaBillingMappingFileBroken": ({"mapping": "1x10 0x50"}, {}),
    "TaigaBillingAlertsDoNotArrive": (
        {"alerts": "2x30 3x30"},
        {"job": "taiga-billing-worker", "instance": "w", "kind": "dead", "result": "failed"},
    ),
}


def scenario(name: str, changed: dict[str, str], checks: list[dict[str, Any]]) -> dict[str, Any]:
    """One test of promtool."""
    series = [{"series": one, "values": changed.get(key, values)} for key, (one, values) in WELL.items()]
    return {"name": name, "interval": "1m", "input_series": series, "alert_rule_test": checks}


def test_every_rule(tmp_path: Path) -> None:
    """None fires when all is well; each fires, with its labels, when what it watches is wrong."""
    rules = {rule["alert"]: rule for rule in yaml.safe_load(RULES.read_text("utf-8"))["groups"][0]["rules"]}
    assert set(rules) == set(WRONG)
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    tests = [scenario("all is well", {}, [{"eval_time": "50m", "alertname": name} for name in rules])]
    for name, (changed, labels) in WRONG.items():
        rule = rules[name]
        fires = {"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": rule["annotations"]}
        tests.append(scenario(name, changed, [{"eval_time": "50m", "alertname": name, "exp_alerts": [fires]}]))
    file = tmp_path / "test.yml"
    # JSON is YAML.
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    assert done.returncode == 0, done.stdout + done.stderr
