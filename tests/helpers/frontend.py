"""Drives the host's frontend in headless Chromium as a person does: by clicking what is on the screen.

Only where things are on the canvas, and what the frontend thinks of them, is asked of its own JavaScript objects.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, TimeoutError, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Milliseconds, for a busy machine without a GPU: to draw something, to run a workflow.
TIMEOUT = 60_000
RUN_TIMEOUT = 300_000
# Without a GPU every frame that a page draws costs the processors that the server computes on.
FEW_FRAMES = "const draw = requestAnimationFrame; requestAnimationFrame = (f) => setTimeout(() => draw(f), 80)"


def find_chromium() -> str | None:
    """The path of an installed Chromium or Chrome."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


@contextmanager
def launch(chromium: str) -> Iterator[Browser]:
    """A headless browser. As root, in a container say, Chromium's sandbox does not start and is left out."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"] if is_root else [])
        yield browser
        browser.close()


class Frontend:
    """The frontend at `url` in a page of its own. `complaints`: what the console said was wrong, with its address.

    first_visit: open it as for a person who has never been there, and is welcomed. nodes_2: with Nodes 2.0 switched on,
    the frontend's newer renderer, which draws nodes as HTML. language: the one chosen in ComfyUI's settings.
    """

    def __init__(
        self, browser: Browser, url: str, *, first_visit: bool = False, nodes_2: bool = False, language: str = "en"
    ):
        self.page: Page = browser.new_page(viewport={"width": 1440, "height": 900})
        self.page.set_default_timeout(TIMEOUT)
        settings = {"TutorialCompleted": not first_visit, "VueNodes.Enabled": nodes_2, "Locale": language}
        for setting, value in settings.items():
            self.page.request.post(f"{url}/settings/Comfy.{setting}", data=json.dumps(value))
        self.complaints: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.add_init_script(FEW_FRAMES)
        self.page.add_init_script("window.clicks = 0; addEventListener('pointerdown', () => window.clicks++, true)")
        self.page.goto(url)
        self.page.get_by_test_id("queue-button").wait_for()

    def _on_console(self, message) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def own_complaints(self) -> list[str]:
        """The console's complaints that this pack may have a part in.

        The frontend asks for a help page in the person's language before the one there is; that is no fault.
        """
        suspects = [text for text in self.complaints if "CustomEnhancer" in text or "CE_" in text or "uncaught" in text]
        return [text for text in suspects if not text.endswith("/en.md)")]

    def clicks(self) -> int:
        """How often the mouse was pressed on this page."""
        return self.ask("() => window.clicks")

    def ask(self, script: str, *arguments):
        """The value of a JavaScript function of `arguments`."""
        return self.page.evaluate(f"arguments => ({script})(...arguments)", list(arguments))

    def wait_until(self, script: str, *arguments, timeout: float = TIMEOUT) -> None:
        """Wait until a JavaScript function of `arguments` is true, for `timeout` milliseconds at most."""
        self.page.wait_for_function(f"arguments => !!(({script})(...arguments))", arg=list(arguments), timeout=timeout)

    def open_templates(self, pack: str) -> None:
        """Open the template browser at a node pack's templates."""
        self.page.get_by_role("button", name="Templates").first.click()
        self.page.get_by_role("button", name=pack).click()

    def load_template(self, pack: str, name: str) -> tuple[int, int]:
        """Open the template browser and load a template of a node pack. Returns the size of the picture on its card."""
        self.open_templates(pack)
        card = self.page.get_by_test_id(f"template-workflow-{name}")
        self._scroll_to(card, self.page.locator("[data-testid^=template-workflow-]"))
        picture = card.locator("img").first
        picture.wait_for()
        size = picture.evaluate("async img => { await img.decode(); return [img.naturalWidth, img.naturalHeight]; }")
        card.click()
        self.wait_until(
            "name => app.extensionManager.workflow.activeWorkflow?.filename === name", name.removesuffix(".app")
        )
        return tuple(size)

    def _scroll_to(self, card, cards) -> None:
        """Turn the wheel over the template browser's cards, of which it makes more as one gets there."""
        cards.first.wait_for()
        for _ in range(20):
            if card.count():
                break
            cards.last.hover()
            self.page.mouse.wheel(0, 2000)
            self.page.wait_for_timeout(500)
        card.scroll_into_view_if_needed()

    def see_app(self, title: str) -> None:
        """Wait until a workflow is open as an app, with its title above its inputs; decline the host's own tour."""
        self.page.get_by_text(title, exact=True).last.wait_for()
        tour = self.page.get_by_test_id("coach-landing")
        with contextlib.suppress(TimeoutError):
            tour.wait_for(timeout=5000)
            self.page.keyboard.press("Escape")
            tour.wait_for(state="hidden")

    def show_graph(self) -> None:
        """Turn from an app to its graph; a graph stays as it is."""
        if self.ask("() => !!app.graph.extra.linearMode"):
            self.ask("() => app.extensionManager.command.execute('Comfy.ToggleLinear')")
            self.page.get_by_test_id("queue-button").wait_for()

    def choose_photo(self, name: str, picture: bytes) -> None:
        """Give an app's first input a PNG picture from the person's own disk."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator(r"i.icon-\[lucide--folder-search\]").first.click()
        chooser.value.set_files({"name": name, "mimeType": "image/png", "buffer": picture})
        self.page.get_by_text(name, exact=True).first.wait_for()

    def enter_in_app(self, label: str, value: int) -> None:
        """Type a number into an app's input."""
        field = self.page.get_by_text(label, exact=True).locator("xpath=ancestor::div[.//input][1]").locator("input")
        field.last.fill(str(value))
        field.last.press("Enter")

    def shorten(self, steps: int) -> None:
        """Give the graph's schedule, in a blueprint too, so many steps: for a CPU."""
        self.ask(
            """steps => {
                const nodes = app.graph.nodes.flatMap(node => [node, ...(node.subgraph?.nodes ?? [])]);
                const schedule = nodes.find(node => node.type === 'BasicScheduler');
                if (schedule) schedule.widgets.find(widget => widget.name === 'steps').value = steps;
            }""",
            steps,
        )

    def run_app(self) -> tuple[int, int]:
        """Press an app's Run and wait for its picture. Returns the picture's size. Raises AssertionError on failure."""
        self.page.get_by_role("button", name="Run", exact=True).last.click()
        self.wait_until(
            """() => app.lastExecutionError
                || [...document.images].some(each => each.src.includes('type=output') && each.naturalWidth)""",
            timeout=RUN_TIMEOUT,
        )
        if error := self.ask("() => app.lastExecutionError?.exception_message"):
            raise AssertionError(error)
        shown = "[...document.images].find(each => each.src.includes('type=output') && each.naturalWidth)"
        return tuple(self.ask(f"() => [{shown}.naturalWidth, {shown}.naturalHeight]"))

    def load_graph(self, workflow: dict) -> None:
        """Open a workflow as a graph, whole on the screen, even one that would open as an app."""
        extra = {name: value for name, value in workflow["extra"].items() if name != "linearMode"}
        self.ask("async graph => { await app.loadGraphData(graph) }", {**workflow, "extra": extra})
        self.show_all(1800, 1000)

    def add_from_library(self, name: str) -> None:
        """Empty the graph and add a node, or a blueprint, by the search of the node library.

        What the host sends after the page, as blueprints, is not in a search that is open by then: it is tried again.
        """
        for _ in range(5):
            self.ask("() => app.graph.clear()")
            self.ask("() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
            with contextlib.suppress(TimeoutError):
                self.page.get_by_role("combobox", name="Add a node").fill(name, timeout=5000)
                self.page.get_by_text(name, exact=True).first.click(timeout=5000)
                self.wait_until("name => app.graph.nodes[0]?.title === name", name, timeout=5000)
                return
            self.page.keyboard.press("Escape")
        raise AssertionError(f"{name} is not in the node library")

    def boxes(self) -> dict[int, tuple[float, float, float, float]]:
        """Left, top, width and height of each node as it is drawn, title bar included, on the canvas; by its id."""
        found = self.ask(
            """() => Object.fromEntries(app.graph.nodes.map(node => {
                const drawn = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect();
                const [left, top] = [node.pos[0], node.pos[1] - 30];
                if (!drawn) return [node.id, [left, top, node.size[0], node.size[1] + 30]];
                const scale = app.canvas.ds.scale;
                return [node.id, [left, top, drawn.width / scale, drawn.height / scale]];
            }))"""
        )
        return {int(node): tuple(box) for node, box in found.items()}

    def prompt(self) -> dict:
        """The graph in API format, as the frontend exports it."""
        return self.ask("async () => (await app.graphToPrompt()).output")

    def red_nodes(self) -> set[str]:
        """The titles of the nodes that the frontend marks as missing, or as wanting something."""
        return set(self.ask("() => app.graph.nodes.filter(node => node.has_errors).map(node => node.title)"))

    def unknown_nodes(self) -> set[str]:
        """The types of the graph's nodes that no installed pack defines."""
        return set(self.ask("() => app.graph.nodes.map(node => node.type)")) - set(
            self.ask("() => Object.keys(LiteGraph.registered_node_types)")
        )

    def bring_up(self, title: str) -> None:
        """Move the canvas so that the node of this title is in the middle, at full size."""
        self.ask(
            """title => {
                app.canvas.ds.scale = 1;
                app.canvas.centerOnNode(app.graph.nodes.find(node => node.title === title));
                app.canvas.draw(true, true);
            }""",
            title,
        )

    def spot(self, title: str, widget: str | None = None) -> tuple[float, float]:
        """Where on the screen to click a node's title bar, or one of its widgets."""
        self.bring_up(title)
        return self.ask(
            """(title, name) => {
                const node = app.graph.nodes.find(node => node.title === title);
                const widget = node.widgets?.find(widget => widget.name === name);
                const [x, y] = widget ? [node.size[0] / 2, widget.last_y + 10] : [60, -15];
                const at = app.canvas.ds.convertOffsetToCanvas([node.pos[0] + x, node.pos[1] + y]);
                const canvas = app.canvas.canvas.getBoundingClientRect();
                return [canvas.left + at[0], canvas.top + at[1]];
            }""",
            title,
            widget,
        )

    def choose(self, title: str, widget: str, option: str) -> None:
        """Choose an option of a node's combo widget."""
        self.page.mouse.click(*self.spot(title, widget))
        self.page.locator(".litecontextmenu").get_by_text(option, exact=True).click()

    def enter(self, title: str, widget: str, value: int) -> None:
        """Type a number into a node's widget."""
        self.page.mouse.dblclick(*self.spot(title, widget))
        field = self.page.locator(".graphdialog input")
        field.fill(str(value))
        field.press("Enter")

    def upload(self, title: str, name: str, picture: bytes) -> None:
        """Give a LoadImage node a PNG picture from the person's own disk."""
        with self.page.expect_file_chooser() as chooser:
            self.page.mouse.click(*self.spot(title, "upload"))
        chooser.value.set_files({"name": name, "mimeType": "image/png", "buffer": picture})
        self.wait_until(
            "(title, name) => app.graph.nodes.find(node => node.title === title).widgets[0].value === name", title, name
        )

    def run(self, title: str) -> tuple[int, int]:
        """Press Run and look at the node of this title until it shows a picture. Returns the picture's size.

        Raises AssertionError if a node fails.
        """
        self.bring_up(title)  # the frontend fetches pictures for what is on the screen alone
        self.page.get_by_test_id("queue-button").click()
        self.wait_until(
            """title => app.lastExecutionError
                || app.graph.nodes.find(node => node.title === title).imgs?.[0]?.naturalWidth""",
            title,
            timeout=RUN_TIMEOUT,
        )
        if error := self.ask("() => app.lastExecutionError?.exception_message"):
            raise AssertionError(error)
        return tuple(
            self.ask(
                """title => {
                    const picture = app.graph.nodes.find(node => node.title === title).imgs[0];
                    return [picture.naturalWidth, picture.naturalHeight];
                }""",
                title,
            )
        )

    def show_all(self, width: int, height: int) -> None:
        """Make the window this large and fit the whole graph into it."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.wait_for_timeout(200)  # the canvas follows the window
        self.ask("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
        view, before = None, ()
        while view != before:  # it glides there
            self.page.wait_for_timeout(200)
            before, view = view, self.ask("() => [app.canvas.ds.scale, ...app.canvas.ds.offset]")
