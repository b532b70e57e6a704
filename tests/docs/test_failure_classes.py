"""The page of the failure classes is the table in the code, written out."""

from __future__ import annotations

from ringback.failures import FailureClass
from tests.docs.failure_classes import PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.docs.failure_classes"


def test_every_class_has_its_section_with_evidence_as_people_read_it() -> None:
    for failure in FailureClass:
        section = page().partition(f"\n## {failure}\n")[2].partition("\n## ")[0]
        evidence = section.strip().partition("\n")[0]
        assert evidence.startswith("> ")
        assert len(evidence) > 20
        assert "{" not in evidence
        assert "**Do:** " in section
