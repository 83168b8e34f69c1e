"""Tokens as Supabase Auth signs them, for the servers of the tests that take one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

SECRET = "the secret of these tests: 32 bytes or more"


def token(role: str = "service_role", **claims: object) -> str:
    """A token with these claims, signed with HS256."""
    head = _encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    message = f"{head}.{_encoded(json.dumps({'role': role, **claims}).encode())}"
    return f"{message}.{_signature(message)}"


def claims_of(token: str) -> dict[str, Any] | None:
    """The claims of a token; None if its signature is not good."""
    message, _, signature = token.rpartition(".")
    if not message or not hmac.compare_digest(signature, _signature(message)):
        return None
    content = message.partition(".")[2]
    return dict(json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4))))


def _signature(message: str) -> str:
    return _encoded(hmac.digest(SECRET.encode(), message.encode(), hashlib.sha256))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
