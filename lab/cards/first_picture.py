"""The screens of the README's first steps: the template browser, the app filled in, the app with its picture."""

import io

from helpers.frontend import Frontend
from PIL import Image
from playwright.sync_api import Browser, Page

from cards.cast import SHARP, SIDE, Drawing
from cards.recipes import BEA, BEACH, MIDDLE

PACK, APP = "ComfyUI-CustomEnhancer", "CustomEnhancer PhotoMaker V2"
WINDOW = {"width": 1280, "height": 800}
PROMPT, SEED = Drawing(BEACH, MIDDLE, BEA.identity).caption(" img"), 5
SETTLE = 1500  # milliseconds for what glides in or fades


def brighten(frontend: Frontend) -> None:
    """Light colours, and text however small it is on the screen."""
    for setting, value in (("Comfy.ColorPalette", "light"), ("LiteGraph.Canvas.MinFontSizeForLOD", 0)):
        frontend.ask("(name, value) => app.extensionManager.setting.set(name, value)", setting, value)


def screen(page: Page) -> Image.Image:
    """What is on the screen."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def first_steps(browser: Browser, url: str) -> dict[str, Image.Image]:
    """The screens by name, in the order of the steps, as someone sees them who has the models in place."""
    frontend = Frontend(browser, url)
    brighten(frontend)
    page = frontend.page
    page.set_viewport_size(WINDOW)
    screens = {}

    frontend.open_templates(PACK)
    page.locator("[data-testid^=template-workflow-] img").first.wait_for()
    page.wait_for_timeout(SETTLE)
    screens["templates"] = screen(page)
    page.keyboard.press("Escape")

    frontend.load_template(PACK, f"{APP}.app")
    frontend.see_app(APP)
    photo = io.BytesIO()
    BEA.at(SHARP).save(photo, "PNG")
    frontend.choose_photo("my_friend.png", photo.getvalue())
    page.locator("textarea").filter(visible=True).first.fill(PROMPT)
    for label, value in (("Seed", SEED), ("Width", SIDE), ("Height", SIDE)):
        frontend.enter_in_app(label, value)
    page.wait_for_timeout(SETTLE)
    screens["app"] = screen(page)

    frontend.run_app()
    page.wait_for_timeout(SETTLE)
    screens["result"] = screen(page)
    page.close()
    return screens
