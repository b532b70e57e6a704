"""For answers that hold a secret: nobody on the way may keep them."""

from __future__ import annotations

from fastapi import Depends, Response


def _no_store(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"


NO_STORE = Depends(_no_store)
