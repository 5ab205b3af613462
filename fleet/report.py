"""The report of a run as HTML pages: a row for each job with its pictures, and first what failed and why."""

import html
import io
import os
import urllib.parse
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from .ledger import DONE, FAILED, IN_FLIGHT, WAITING, Ledger
from .results import write_whole

ON_A_PAGE = 500  # jobs
THUMBNAIL = 192  # pixels
THUMBNAILS = "thumbnails"
SHOWN = {".png", ".jpg", ".jpeg", ".webp", ".gif"}
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 } 
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem }
tr { border-top: 1px solid #ddd } th { color: #666; font-weight: 500 } img { max-height: 192px; max-width: 192px }
.failed { color: #a40000 } pre { white-space: pre-wrap; margin: 0; font: inherit } a { color: #1a5fb4 }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #1b1b1b } tr { border-color: #444 } th { color: #aaa }
  .failed { color: #ff8a80 } a { color: #8ab4f8 }
}
"""


def write_report(ledger: Ledger, folder: Path) -> Path:
    """Write report.html, with a page more for every ON_A_PAGE jobs. Returns the first page."""
    counts = ledger.counts()
    pages = max(-(-sum(counts.values()) // ON_A_PAGE), 1)
    jobs, failed = ledger.rows(), (job for job in ledger.rows() if job["state"] == FAILED)
    common = ledger.common()
    head = _summary(counts, ledger.speed()) + _failures(islice(failed, ON_A_PAGE), counts[FAILED]) + _common(common)
    for page in range(1, pages + 1):
        rows = "".join(_row(job, common, folder) for job in islice(jobs, ON_A_PAGE))
        table = f"<table><tr><th>job<th>settings<th>state<th>pictures</tr>{rows}</table>"
        links = _links(page, pages)
        write_whole(folder / _page_name(page), _page((head if page == 1 else "") + links + table + links).encode())
    for left in range(pages + 1, pages + 1000):  # of an earlier, longer list
        if not (folder / _page_name(left)).exists():
            break
        os.remove(folder / _page_name(left))
    return folder / _page_name(1)


def _page_name(page: int) -> str:
    return "report.html" if page == 1 else f"report-{page}.html"


def _page(body: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Jobs</title><style>{STYLE}</style><body>{body}</body></html>\n"
    )


def _summary(counts: dict[str, int], speed: tuple[int, float]) -> str:
    done, seconds = speed
    told = [f"{counts[DONE]} of {sum(counts.values())} jobs are done"]
    told += [f"{counts[state]} {state}" for state in (FAILED, IN_FLIGHT, WAITING) if counts[state]]
    if done:
        told.append(f"{seconds / done:.1f} seconds of a host for each")
    return f"<h1>Jobs</h1><p>{', '.join(told)}.</p>"


def _failures(jobs: Iterable[dict], count: int) -> str:
    if not count:
        return ""
    rows = "".join(
        f'<tr><td><a href="#job-{job["number"]}">{job["number"]}</a><td>{job["attempts"]}'
        f'<td class="failed"><pre>{_escaped(job["reason"])}</pre></tr>'
        for job in jobs
    )
    return f"<h2>{count} failed</h2><table><tr><th>job<th>attempts<th>reason</tr>{rows}</table>"


def _common(common: dict) -> str:
    return f"<details><summary>The same in all jobs</summary><p>{_settings(common)}</p></details>" if common else ""


def _settings(row: dict) -> str:
    return "<br>".join(f"{_escaped(name)}: {_escaped(value)}" for name, value in row.items())


def _row(job: dict, common: dict, folder: Path) -> str:
    settings = _settings({name: value for name, value in job["row"].items() if name not in common})
    state = f'<span class="{job["state"]}">{job["state"]}</span>'
    state += f"<br>{job['seconds']:.1f} s on {_escaped(job['host'])}" if job["state"] == DONE else ""
    state += f'<pre class="failed">{_escaped(job["reason"])}</pre>' if job["reason"] else ""
    shown = [_picture(output.file, output.node, folder) for output in job["outputs"] if output.file]
    shown += [
        f"<pre>{_escaped(output.node)}: {_escaped(output.text)}</pre>"
        for output in job["outputs"]
        if output.text is not None
    ]
    return f'<tr id="job-{job["number"]}"><td>{job["number"]}<td>{settings}<td>{state}<td>{" ".join(shown)}</tr>'


def _picture(file: str, node: str, folder: Path) -> str:
    link = urllib.parse.quote(file)
    if Path(file).suffix not in SHOWN:
        return f'<a href="{link}">{_escaped(node)}</a>'
    shown = urllib.parse.quote(_thumbnail(file, folder))
    return f'<a href="{link}"><img loading="lazy" src="{shown}" alt="{_escaped(node)}" title="{_escaped(node)}"></a>'


def _thumbnail(file: str, folder: Path) -> str:
    """A small copy of a picture, made once; the picture itself without Pillow, and where it is no picture."""
    small = f"{THUMBNAILS}/{file.split('/', 1)[1]}.jpg"
    try:
        from PIL import Image
    except ImportError:
        return file
    try:
        if not (folder / small).exists():
            with Image.open(folder / file) as picture:
                picture = picture.convert("RGB")
                picture.thumbnail((THUMBNAIL, THUMBNAIL))
                content = io.BytesIO()
                picture.save(content, "JPEG", quality=85)
            write_whole(folder / small, content.getvalue())
    except (OSError, Image.DecompressionBombError):
        return file
    return small


def _links(page: int, pages: int) -> str:
    if pages == 1:
        return ""
    numbers = sorted({1, pages, *range(max(page - 4, 1), min(page + 4, pages) + 1)})
    return "<p>" + " ".join(
        f"<b>{number}</b>" if number == page else f'<a href="{_page_name(number)}">{number}</a>' for number in numbers
    ) + "</p>"  # fmt: skip


def _escaped(value) -> str:
    return html.escape("" if value is None else str(value))
