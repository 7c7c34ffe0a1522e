"""Meaning: what the state of each operator hangs on, in words that checkpoints keep and later runs compare."""

from __future__ import annotations

from engine.checkpoint_manifest import Meaning, Program
from engine.combining import Combines
from engine.graph import Node
from engine.plan import Plan
from engine.record_form import forms_in
from engine.type_text import UNKNOWN, type_text


def program_of(plan: Plan, start: str | None = None) -> Program:
    """That of `plan`, without the steps that a plan has of its own: at a barrier they hold nothing of the user's."""
    nodes = [node for task in plan.tasks for node in task.nodes if not isinstance(node.operation, Combines)]
    meanings = [meaning_of(node) for node in sorted(nodes, key=lambda node: node.name)]
    return Program(plan.settings.max_parallelism, tuple(meanings), start)


def meaning_of(node: Node) -> Meaning:
    """That of one operator, without what is not known."""
    aspects = node.operation.meaning(node.inputs)
    texts = {name: each if isinstance(each, str) else type_text(each) for name, each in aspects.items()}
    return Meaning(
        node.name,
        node.operation.kind,
        {name: text for name, text in texts.items() if text != UNKNOWN},
        node.operation.parts,
        forms_in(each for each in aspects.values() if not isinstance(each, str)),
    )
