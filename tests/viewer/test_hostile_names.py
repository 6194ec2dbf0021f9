"""Names in a trace come from whoever talks to the program: they are text, whatever they look like."""

from __future__ import annotations

import json

from viewer.chromium import Page
from viewer.conftest import Show

from viewer import documents


def use_everything(page: Page) -> None:
    """Go through all places that show a name."""
    for task in range(0, 8, 2):
        page.run(f"document.querySelector('[data-task=\"{task}\"]')?.click()")
        page.key(".")
    for tab in page.run("[...document.querySelectorAll('[role=tab]')].map((tab) => tab.id)"):
        page.click_on(f"#{tab}")
    page.mouse("mouseMoved", 700, 420)
    page.run("document.querySelector('#findings button').click()")
    page.key("/")
    page.write("onerror")
    page.key("Enter")


def test_markup_in_names_stays_text(show: Show) -> None:
    page = show(json.dumps(documents.hostile(), ensure_ascii=False).encode("utf-8", "replace"))
    use_everything(page)
    assert page.run("typeof globalThis.harmed") == "undefined"
    assert page.run("document.querySelectorAll('img, svg, iframe, object').length") == 0
    assert page.run("document.scripts.length") == 2
    assert page.run("maypoleTimeline.state.model.tasks.length") > 5
    assert "<svg onload" in page.text("#program")
    assert page.run("document.documentElement.scrollWidth") <= 1280


def test_the_policy_would_stop_a_script_that_got_in(show: Show) -> None:
    page = show(documents.service(2))
    page.run(
        """(() => {
          const script = document.createElement("script");
          script.textContent = "globalThis.harmed = 1";
          document.body.append(script);
        })()"""
    )
    assert page.run("typeof globalThis.harmed") == "undefined"
    page.forget()
