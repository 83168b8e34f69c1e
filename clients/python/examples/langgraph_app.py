"""A LangGraph of plain functions, whose nodes are the substeps of one stage.

    pip install 'bindery-client[langgraph,postgres]'
    export BINDERY_URL=postgresql://…
    python langgraph_app.py moby-dick

The pipeline `comic` lets the stage CREATING_ARTWORK have any substeps; the graph's are planned.
"""

from __future__ import annotations

import operator
import sys
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

import bindery_client as bindery
from bindery_client.langgraph import BinderyHandler


class State(TypedDict, total=False):
    """What the nodes share."""

    scenes: list[str]
    panels: Annotated[list[str], operator.add]
    is_good: bool


def split(state: State) -> State:
    """Make scenes."""
    return {"scenes": ["The sea", "The whale", "The chase"]}


def draw_panel(state: dict[str, str]) -> State:
    """Draw one scene; runs once for each of them."""
    return {"panels": [f"[{state['scene']}]"]}


def review(state: State) -> State:
    """Look at the panels."""
    return {"is_good": len(state["panels"]) == 3}


def repair(state: State) -> State:
    """Draw anew what is not good; this book does not need it."""
    return {"is_good": True}


def make_graph() -> Any:
    """Build the graph: split, a run of draw_panel for each scene, review, perhaps repair."""
    graph = StateGraph(State)
    for node in (split, draw_panel, review, repair):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "split")
    graph.add_conditional_edges(
        "split",
        lambda state: [Send("draw_panel", {"scene": scene}) for scene in state["scenes"]],
        ["draw_panel"],
    )
    graph.add_edge("draw_panel", "review")
    graph.add_conditional_edges(
        "review", lambda state: END if state["is_good"] else "repair", [END, "repair"]
    )
    return graph.compile()


def main(book_id: str) -> None:
    """Let a book run through the stages of the pipeline."""
    graph = make_graph()
    with bindery.book(book_id, pipeline="comic") as book:
        for name in ("ANALYZING", "GENERATING_SCENES"):
            with book.stage(name):
                pass
        with book.stage("CREATING_ARTWORK") as stage:
            result = graph.invoke({}, {"callbacks": [BinderyHandler(stage, graph)]})
        book.transition("COMPLETED")
    print(" ".join(result["panels"]))


if __name__ == "__main__":
    main(sys.argv[1])
