from __future__ import annotations

import subprocess
import sys

import pytest
from fakes import Recorder, steps

import bindery_client as bindery
from bindery_client import testing


def test_a_test_of_a_worker_records_what_it_reports() -> None:
    former = bindery.default_client()
    with testing.record() as events:
        with bindery.book("moby-dick") as book, book.stage("ANALYZING") as stage:
            for _ in stage.track(range(3), "extract_text"):
                pass
        assert [event["type"] for event in steps(events)] == ["register", "begin", "progress"]
    assert bindery.default_client() is former


def test_the_default_client_is_configured_once_and_then_used() -> None:
    client = bindery.configure(transport=Recorder(), worker="reader-1")
    assert bindery.default_client() is client
    assert client.worker == "reader-1"
    assert bindery.configure() is bindery.default_client()
    assert not bindery.default_client().is_on


def test_the_environment_configures_the_default_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDERY_URL", "redis://127.0.0.1:1/")
    monkeypatch.setenv("BINDERY_STATUS_URL", "postgresql://127.0.0.1:1/none")
    client = bindery.Client()
    assert client.is_on
    assert client.answers
    monkeypatch.delenv("BINDERY_STATUS_URL")
    assert not bindery.Client().answers
    monkeypatch.setenv("BINDERY_STATUS_URL", "redis://127.0.0.1:1/")
    with pytest.raises(ValueError, match="status URL"):
        bindery.Client()


def test_an_owner_that_is_not_a_uuid_is_refused() -> None:
    with pytest.raises(ValueError, match="badly formed"):
        bindery.Client().book("b", owner_id="ahab")


def test_an_import_of_the_package_imports_no_adapter_and_no_extra() -> None:
    modules = ("celery", "transformers", "langgraph", "langchain_core", "tqdm", "psycopg", "httpx")
    program = f"import bindery_client, sys; print([m for m in {modules} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
