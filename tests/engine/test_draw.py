"""Pictures of a flow: Mermaid text and SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from textwrap import dedent

import pytest

from engine import Dataflow, count
from tests.engine.helpers import ListSink, ListSource


def shop() -> Dataflow:
    flow = Dataflow("shop")
    orders = flow.source(ListSource([], type=int), name="orders")
    small, large = orders.map(str, on_error="dead-letter").split(bool)
    small.key_by(size=len).aggregate(n=count()).sink(ListSink(), name='a "file"')
    large.rebalance(2).sink(ListSink(), name="<b> & c")
    flow.dead_letters.sink(ListSink(), name="bad")
    return flow


def test_mermaid() -> None:
    assert shop().to_mermaid() == dedent(
        """\
        flowchart LR
            n0(["orders<br/><i>int</i>"])
            n1["map str<br/><i>str</i>"]
            n2["split<br/><i>str</i>"]
            n3["aggregate<br/><i>Aggregate</i>"]
            n4(["a #quot;file#quot;"])
            n5(["<b> & c"])
            n6(["bad"])
            n0 --> n1
            n1 --> n2
            n2 -->|"1 of 2, by size"| n3
            n3 --> n4
            n2 -->|"2 of 2, rebalance"| n5
            n1 -.-> n6
        """
    )


def test_a_notebook_shows_a_picture() -> None:
    bundle = shop()._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == "<Dataflow 'shop': 7 operators>"
    root = ET.fromstring(bundle["image/svg+xml"])
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for text in ("orders", "map str", 'a "file"', "<b> & c", "bad", "Aggregate"):
        assert text in texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == 1 + 7


@pytest.mark.parametrize("flow", [Dataflow("empty")], ids=["empty"])
def test_an_empty_flow_has_a_picture_too(flow: Dataflow) -> None:
    assert flow.to_mermaid() == "flowchart LR\n"
    ET.fromstring(flow._repr_mimebundle_()["image/svg+xml"])


def test_a_half_built_flow_can_be_drawn() -> None:
    flow = Dataflow("half", on_error="dead-letter")
    flow.dead_letters.map(str, name="first").sink(ListSink())  # written before those that send any
    flow.source(ListSource([])).map(str)
    ET.fromstring(flow._repr_mimebundle_()["image/svg+xml"])
    assert "n2 -.-> n0" in flow.to_mermaid()
