"""Meaning: what the state of each operator hangs on, in words that checkpoints keep and later runs compare."""

from __future__ import annotations

from typing import Any

from engine.checkpoint_manifest import Meaning, Program
from engine.combining import Combines
from engine.plan import Plan
from engine.type_text import UNKNOWN, type_text


def program_of(plan: Plan, start: str | None = None) -> Program:
    """That of `plan`, without the steps that a plan has of its own: at a barrier they hold nothing of the user's."""
    nodes = [node for task in plan.tasks for node in task.nodes if not isinstance(node.operation, Combines)]
    meanings = [
        Meaning(node.name, node.operation.kind, _as_texts(node.operation.meaning(node.inputs)))
        for node in sorted(nodes, key=lambda node: node.name)
    ]
    return Program(plan.settings.max_parallelism, tuple(meanings), start)


def _as_texts(aspects: dict[str, Any]) -> dict[str, str]:
    """Without what is not known: text stays, types become text."""
    texts = {name: each if isinstance(each, str) else type_text(each) for name, each in aspects.items()}
    return {name: text for name, text in texts.items() if text != UNKNOWN}
