"""A small stateful Taiga for tests and the demo, faithful to what a real 6.10 server was recorded to do."""

from middleware.lab.sandbox.taiga.app import create_app
from middleware.lab.sandbox.taiga.state import TaigaState

__all__ = ["TaigaState", "create_app"]
