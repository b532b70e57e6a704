"""A server whose hand-over breaks just after the commit: what was accepted is called so, and delivered."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.outside import PATIENCE, Business, serving
from tests.e2e.processes import wait_until
from tests.zoo import Zoo


def test_a_hand_over_that_breaks_after_the_commit_changes_no_answer_and_keeps_no_slot(tmp_path: Path) -> None:
    with Zoo() as zoo, serving(tmp_path / "server", RINGBACK_FAILPOINT="after_commit:2:raise") as server:
        business = Business(server)
        business.subscribe(zoo.url("ok"))
        # Once this one was claimed its lane is known to be empty, and the next goes the direct way.
        business.publish("evt_1")
        business.wait_for("delivered", 1)

        answer = business.publish("evt_2")

        assert answer == {"EventId": "evt_2", "Deliveries": 1, "Duplicate": False}
        assert business.deliveries()[0]["State"] == "sending", "leased at birth, and nobody knows of it"
        business.wait_for("delivered", 2)
        wait_until("every slot is free", lambda: not server.metrics()["ringback_window_in_use"], PATIENCE)
        assert [request.headers["webhook-attempt"] for request in zoo.received_at("ok")] == ["1", "1"]
