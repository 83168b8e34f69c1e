"""Graphs of the real LangGraph, with plain functions as nodes, against a real binderyd."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict

import pytest
from fakes import Recorder
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt
from servers import Servers

import bindery_client as bindery
from bindery_client import Book, Client
from bindery_client.langgraph import BinderyHandler, substep

EXAMPLES = Path(__file__).parents[1] / "examples"

PIPELINE = """{"states": [{"name": "NEW"}, {"name": "RUNNING", "weight": 1}, {"name": "DONE"}]}"""


class State(TypedDict, total=False):
    answer: str


Node = Callable[[Any], Any]


def line(*nodes: tuple[str, Node], **options: Any) -> Any:
    """A compiled graph of nodes one after the other."""
    graph: Any = StateGraph(State)
    for before, (name, node) in zip([START, *[n for n, _ in nodes]], nodes, strict=False):
        graph.add_node(name, node)
        graph.add_edge(before, name)
    return graph.compile(**options)


def nothing(_: Any) -> State:
    return {}


@pytest.fixture
def book(servers: Servers, open_client: Callable[..., Client], book_id: str) -> Iterator[Book]:
    servers.sql("select bindery.define_pipeline('graph', %s)", PIPELINE)
    with open_client(servers.postgres_url).book(book_id, pipeline="graph") as opened:
        yield opened


def progress(servers: Servers, book: Book) -> dict[str, float]:
    """The progress of each substep, by its key."""
    assert book.flush(10)
    query = "select jsonb_object_agg(substep, progress) from bindery.book_progress"
    return dict(servers.sql(f"{query} where book_id = %s", book.book_id))


def test_the_example_runs_to_completion(servers: Servers, book_id: str) -> None:
    run = subprocess.run(
        [sys.executable, "langgraph_app.py", book_id],
        cwd=EXAMPLES,
        env={**os.environ, "BINDERY_URL": servers.postgres_url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "[The sea] [The whale] [The chase]\n"
    assert run.stderr == ""
    assert servers.book(book_id)["status"] == "COMPLETED"  # type: ignore[index]
    for node in ("split", "draw_panel", "review", "repair"):
        assert servers.substep(book_id, node)["progress"] == 100, node
    sent = servers.substep(book_id, "draw_panel")
    assert sent["message"] == "runs that have ended: 3"


@pytest.mark.parametrize("is_async", [False, True])
def test_each_node_is_a_substep_that_is_full_once_it_has_run(
    is_async: bool, servers: Servers, book: Book
) -> None:
    seen: list[dict[str, float]] = []

    def look(_: State) -> State:
        seen.append(progress(servers, book))
        return {}

    graph = line(("first", nothing), ("SecondOne", look), ("third", nothing))
    with book.stage("RUNNING") as stage:
        setting = {"callbacks": [BinderyHandler(stage, graph)]}
        if is_async:
            asyncio.run(graph.ainvoke({}, setting))
        else:
            graph.invoke({}, setting)
    assert seen == [{"first": 100, "second_one": 0, "third": 0}]
    assert set(progress(servers, book).values()) == {100}
    assert servers.book(book.book_id)["stage_progress"] == 100  # type: ignore[index]


def test_the_runs_of_a_node_that_is_sent_are_counted(servers: Servers, book: Book) -> None:
    seen: list[dict[str, Any]] = []

    def work(_: int) -> State:
        assert book.flush(10)
        seen.append(servers.substep(book.book_id, "work"))
        return {}

    graph: Any = StateGraph(State)
    graph.add_node("split", nothing)
    graph.add_node("work", work)
    graph.add_node("join", lambda _: seen.append(progress(servers, book)))
    graph.add_edge(START, "split")
    graph.add_conditional_edges("split", lambda _: [Send("work", n) for n in range(3)], ["work"])
    graph.add_edge("work", "join")
    compiled = graph.compile()
    with book.stage("RUNNING") as stage:
        compiled.invoke({}, {"callbacks": [BinderyHandler(stage, compiled)], "max_concurrency": 1})
    assert [row["progress"] for row in seen[:3]] == [0, 0, 0]
    assert seen[2]["message"] == "runs that have ended: 2"
    assert seen[3] == {"split": 100, "work": 100, "join": 0}
    assert set(progress(servers, book).values()) == {100}


def test_a_subgraph_is_a_part_of_its_node(servers: Servers, book: Book) -> None:
    inner = line(("inside", nothing), ("outer", nothing))
    graph = line(("outer", inner), ("after", nothing))
    with book.stage("RUNNING") as stage:
        graph.invoke({}, {"callbacks": [BinderyHandler(stage, graph)]})
    assert progress(servers, book) == {"outer": 100, "after": 100}


def test_a_node_that_fails_makes_the_book_failed_and_the_next_attempt_continues(
    servers: Servers, book: Book
) -> None:
    broken = [True]

    def fail(_: State) -> State:
        if broken.pop() if broken else False:
            raise ValueError("no such whale")
        return {}

    ran: list[str] = []
    saver = InMemorySaver()
    graph = line(("first", lambda _: ran.append("first")), ("second", fail), checkpointer=saver)
    thread = {"configurable": {"thread_id": "1"}}
    with pytest.raises(ValueError, match="whale"), book.stage("RUNNING") as stage:
        graph.invoke({}, {**thread, "callbacks": [BinderyHandler(stage, graph)]})
    assert progress(servers, book) == {"first": 100, "second": 0}
    row = servers.wait_for_book(book.book_id, status="FAILED")
    assert row["error"]["code"] == "value_error"
    with book.stage("RUNNING") as stage:
        assert stage.attempt == 2
        graph.invoke(None, {**thread, "callbacks": [BinderyHandler(stage, graph)]})
    assert ran == ["first"]
    assert progress(servers, book) == {"first": 100, "second": 100}


def test_a_node_that_a_policy_lets_run_again_does_not_fail_the_book(
    servers: Servers, book: Book
) -> None:
    tries: list[int] = []

    def flaky(_: State) -> State:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError
        return {}

    graph: Any = StateGraph(State)
    graph.add_node("flaky", flaky, retry_policy=RetryPolicy(initial_interval=0.01))
    graph.add_edge(START, "flaky")
    compiled = graph.compile()
    with book.stage("RUNNING") as stage:
        compiled.invoke({}, {"callbacks": [BinderyHandler(stage, compiled)]})
    assert len(tries) == 2
    assert progress(servers, book) == {"flaky": 100}


@pytest.mark.parametrize("is_static", [False, True])
def test_an_interrupt_leaves_the_waiting_nodes_as_they_are(
    is_static: bool, servers: Servers, book: Book
) -> None:
    options: dict[str, Any] = {"checkpointer": InMemorySaver()}
    if is_static:
        options["interrupt_before"] = ["ask"]
    ask = nothing if is_static else lambda _: {"answer": interrupt("really?")}
    graph = line(("first", nothing), ("ask", ask), ("last", nothing), **options)
    with book.stage("RUNNING") as stage:
        setting = {
            "configurable": {"thread_id": "1"},
            "callbacks": [BinderyHandler(stage, graph)],
        }
        graph.invoke({}, setting)
        assert progress(servers, book) == {"first": 100, "ask": 0, "last": 0}
        graph.invoke(None if is_static else Command(resume="yes"), setting)
    assert progress(servers, book) == {"first": 100, "ask": 100, "last": 100}


def test_a_superseded_graph_stops_before_its_next_node(servers: Servers, book: Book) -> None:
    ran: list[str] = []

    def cancel(_: State) -> State:
        servers.sql("select 1 from bindery.cancel_book(%s)", book.book_id)
        stage.progress(50, "first")
        assert book.flush(10)
        return {}

    graph = line(("first", cancel), ("second", lambda _: ran.append("second")))
    with pytest.raises(bindery.Superseded), book.stage("RUNNING") as stage:
        graph.invoke({}, {"callbacks": [BinderyHandler(stage, graph)]})
    assert ran == []
    assert servers.book(book.book_id)["status"] == "CANCELLED"  # type: ignore[index]


def test_without_a_server_a_graph_runs_as_if_there_were_no_report() -> None:
    graph = line(("first", nothing), ("second", lambda _: {"answer": "42"}))
    with Client().book("b") as book, book.stage("S") as stage:
        assert graph.invoke({}, {"callbacks": [BinderyHandler(stage, graph)]}) == {"answer": "42"}


def test_without_a_graph_nothing_is_planned() -> None:
    recorder = Recorder()
    client = Client(transport=recorder)
    with client.book("b") as book, book.stage("S") as stage:
        line(("first", nothing)).invoke({}, {"callbacks": [BinderyHandler(stage)]})
    client.close()
    assert recorder.of("plan") == []
    assert recorder.of("progress")[-1]["progress"] == "100"


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("draw_panel", "draw_panel"),
        ("DrawPanel", "draw_panel"),
        ("HTTPCall-2", "http_call_2"),
        ("2nd look", "node_2nd_look"),
        ("größe", "gr_e"),
        ("鯨", "node_"),
        ("x" * 80, "x" * 63),
    ],
)
def test_a_node_has_a_substep_in_snake_case(node: str, expected: str) -> None:
    assert substep(node) == expected


def test_two_nodes_with_the_same_substep_are_refused() -> None:
    graph = line(("draw-it", nothing), ("drawIt", nothing))
    with Client().book("b") as book, book.stage("S") as stage:
        with pytest.raises(ValueError, match="the same substep"):
            BinderyHandler(stage, graph)
