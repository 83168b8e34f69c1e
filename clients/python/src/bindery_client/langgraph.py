"""A callback of LangGraph for which each node is a substep of a stage (extra `langgraph`).

from bindery_client.langgraph import BinderyHandler

graph.invoke(inputs, {"callbacks": [BinderyHandler(stage, graph)]})
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from langgraph.callbacks import GraphCallbackHandler
from langgraph.constants import START

if TYPE_CHECKING:
    from uuid import UUID

    from langgraph.callbacks import GraphInterruptEvent
    from langgraph.graph.state import CompiledStateGraph

    from .stage import Stage

__all__ = ["BinderyHandler", "substep"]


def substep(node: str) -> str:
    """Return the substep of a node: its name in lower snake case."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", node).lower()
    snake = re.sub(r"[^a-z0-9]+", "_", snake).strip("_")
    return (snake if snake[:1].isalpha() else f"node_{snake}")[:63]


class BinderyHandler(GraphCallbackHandler):
    """Reports the nodes of a graph as substeps of a stage.

    Give it an open stage: the `with` of the stage makes the book FAILED when a node raises an
    exception. A node has 100 percent once it has run. How often a node is sent (`Send`) is known
    when all of its runs have ended: until then its message counts them. Nodes that were not needed
    have 100 percent once the graph has ended; those that an interrupt keeps waiting do not. A
    subgraph is a part of its node. The handler is for one call of the graph at a time.

    Args:
        stage: the stage to report to.
        graph: the compiled graph, whose nodes are planned as the stage's substeps. None: the
            pipeline declares them.

    Raises:
        ValueError: two nodes have the same substep.
        Superseded: out of the graph, once the book has left the attempt.
    """

    # LangChain logs what a handler raises, unless the handler asks for this: `Superseded` stops
    # the graph.
    raise_error = True
    run_inline = True

    def __init__(
        self, stage: Stage, graph: CompiledStateGraph[Any, Any, Any, Any] | None = None
    ) -> None:
        self._stage = stage
        self._lock = threading.Lock()
        nodes = [] if graph is None else [node for node in graph.nodes if node != START]
        self._planned = {substep(node) for node in nodes}
        if len(self._planned) < len(nodes):
            raise ValueError(f"two of the nodes {nodes} have the same substep")
        if nodes:
            stage.plan(sorted(self._planned))
        self._begin(None)

    def _begin(self, graph_run: UUID | None) -> None:
        self._graph_run = graph_run
        self._is_interrupted = False
        self._step = 0
        # The substeps that have begun, and the running nodes, with whether they were sent.
        self._known: set[str] = set()
        self._runs: dict[UUID, tuple[str, bool]] = {}
        # How many runs have ended of each node that was sent in this step.
        self._sent: dict[str, int] = {}

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: dict[str, Any],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Report that a node begins, and that those of the steps before it have ended."""
        known = metadata or {}
        is_node = any(tag.startswith("graph:step:") for tag in tags or ())
        # The namespace of a subgraph's node has those of the nodes around it.
        if not is_node or "|" in str(known.get("langgraph_checkpoint_ns")):
            return
        name = substep(str(known.get("langgraph_node")))
        step = int(known.get("langgraph_step") or 0)
        is_sent = (known.get("langgraph_path") or ("",))[0] == "__pregel_push"
        sent: list[str] = []
        with self._lock:
            if parent_run_id != self._graph_run:
                self._begin(parent_run_id)
            if step > self._step:
                self._step = step
                # The steps before it have ended.
                sent, self._sent = list(self._sent), {}
            is_first = name not in self._known and not self._stage.is_done(name)
            self._known.add(name)
            self._runs[run_id] = (name, is_sent)
        for ended in sent:
            self._stage.progress(100, ended)
        if is_first:
            self._stage.progress(0, name)

    def on_chain_end(self, outputs: dict[str, Any], *, run_id: UUID, **kwargs: Any) -> None:
        """Report that a node, or the graph, has ended."""
        with self._lock:
            name, is_sent = self._runs.pop(run_id, (None, False))
            if name is not None and is_sent:
                self._sent[name] = count = self._sent.get(name, 0) + 1
        if name is None:
            if run_id == self._graph_run and not self._is_interrupted:
                for ended in self._planned | self._known:
                    self._stage.progress(100, ended)
        elif is_sent:
            self._stage.message(f"runs that have ended: {count}", name)
        else:
            self._stage.progress(100, name)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Forget a run that has failed or waits; a policy may let the node run again."""
        self._runs.pop(run_id, None)

    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        """Leave the nodes that wait for the graph's resumption as they are."""
        self._is_interrupted = True
