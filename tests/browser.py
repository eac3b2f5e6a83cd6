"""Opens pages in a real Chromium, that of Qt WebEngine, and prints what it saw as JSON.

    python tests/browser.py PAGE.html FOLDER light|dark [PAGE.html ...]

Each page is opened in each width. Of a single one the folder gets screenshots, and the page as it
is printed; with LOOK set they show all of it, and the printed pages are pictures, too. A page may
end in ``?q=WORDS``: what a search finds is waited for. It is a process of its own, because
Chromium's colour scheme is an option of the process.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

WIDTHS = (1280, 380)
NONE = 77
"""Exit status where there is no Chromium."""
_SECONDS = 60
_FACTS = """JSON.stringify({
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  back: getComputedStyle(document.body).backgroundColor,
  text: getComputedStyle(document.body).color,
  width: document.documentElement.clientWidth,
  scrolls: document.documentElement.scrollWidth,
  height: document.documentElement.scrollHeight,
  tops: Object.fromEntries([...document.querySelectorAll("section")]
    .map(s => [s.id, s.getBoundingClientRect().top])),
  sections: [...document.querySelectorAll("section > h2")].map(h => h.textContent),
  broken: [...document.images].filter(i => !i.naturalWidth).map(i => i.src),
  colours: [...new Set([...document.querySelectorAll("body *")]
    .filter(e => e.checkVisibility({visibilityProperty: true})
      && [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()))
    .map(e => {
      let b = e;
      const clear = n => getComputedStyle(n).backgroundColor == "rgba(0, 0, 0, 0)";
      while (b.parentElement && clear(b)) b = b.parentElement;
      return getComputedStyle(e).color + " on " + getComputedStyle(b).backgroundColor;
    }))],
  found: document.querySelector("#search-results h2")?.textContent == "Search Results"
    ? [...document.querySelectorAll("ul.search a")].map(a => a.getAttribute("href")) : null,
  drawings: [...document.querySelectorAll("svg[role=img]")]
    .map(s => s.getBoundingClientRect().height),
  outside: [...document.querySelectorAll("svg[role=img]")].flatMap(s =>
    [...s.querySelectorAll("text")].filter(t => {
      const a = t.getBoundingClientRect(), b = s.getBoundingClientRect();
      return a.left < b.left - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 1;
    }).map(t => t.textContent)),
})"""


def main() -> None:
    first, folder, scheme, *more = sys.argv[1:]
    pages = [first, *more]
    os.environ |= {
        "QT_QPA_PLATFORM": "offscreen",
        "QTWEBENGINE_DISABLE_SANDBOX": "1",  # Chromium has none for root, whom CI runs as
        "QTWEBENGINE_CHROMIUM_FLAGS": "--disable-gpu --blink-settings=preferredColorScheme="
        + {"dark": "0", "light": "1"}[scheme],
    }
    try:
        from PySide6.QtCore import QDeadlineTimer, QEventLoop, Qt, QTimer, QUrl
        from PySide6.QtPdf import QPdfDocument
        from PySide6.QtWebEngineCore import (
            QWebEnginePage,
            QWebEngineProfile,
            QWebEngineSettings,
            QWebEngineUrlRequestInterceptor,
        )
        from PySide6.QtWebEngineWidgets import QWebEngineView
        from PySide6.QtWidgets import QApplication
    except ImportError as error:  # the wheel, or one of the system's libraries that it takes
        print(error, file=sys.stderr)
        sys.exit(NONE)

    application = QApplication([])
    told: dict[str, Any] = {"console": [], "requests": [], "seen": {}}
    """What is noticed on all pages; and of each what is seen, by its width."""

    class Requests(QWebEngineUrlRequestInterceptor):
        def interceptRequest(self, info: Any) -> None:
            told["requests"].append(info.requestUrl().toString())

    class Page(QWebEnginePage):
        def javaScriptConsoleMessage(self, level: Any, text: str, line: int, source: str) -> None:
            told["console"].append(text)

    def answer(ask: Callable[[Callable[..., None]], object]) -> Any:
        """Wait for what is handed to a callback."""
        loop, found = QEventLoop(), []
        timer = QTimer(loop)  # and gone with it
        timer.timeout.connect(loop.quit)
        timer.start(1000 * _SECONDS)
        ask(lambda *given: (found.append(given), loop.quit()))
        loop.exec()
        if not found:
            sys.exit(f"no answer from Chromium within {_SECONDS} s")
        return found[0]

    profile, requests = QWebEngineProfile(application), Requests()
    profile.setUrlRequestInterceptor(requests)
    # Else Qt itself would hold back what the page asks of the network; and asked for that, files.
    settings = QWebEngineSettings.WebAttribute
    profile.settings().setAttribute(settings.LocalContentCanAccessRemoteUrls, True)
    profile.settings().setAttribute(settings.LocalContentCanAccessFileUrls, True)
    profile.settings().setAttribute(settings.ShowScrollBars, False)
    view = QWebEngineView()
    shown = Page(profile, view)
    view.setPage(shown)
    view.show()
    for page in pages:
        path, _, query = page.partition("?")
        url = QUrl.fromLocalFile(os.path.abspath(path))
        url.setQuery(query or None)
        told["seen"][page], ends = {}, QDeadlineTimer(1000 * _SECONDS)

        def load(then: Callable[..., None], url: QUrl = url) -> None:
            shown.loadFinished.connect(then, Qt.ConnectionType.SingleShotConnection)
            shown.load(url)

        (loaded,) = answer(load)
        for width in WIDTHS:
            view.resize(width, 900)
            while True:
                facts = json.loads(answer(lambda then: shown.runJavaScript(_FACTS, then))[0])
                waits = facts["width"] != width or (query and facts["found"] is None)
                if not waits or ends.hasExpired():
                    break
                answer(lambda then: QTimer.singleShot(20, then))
            told["seen"][page][width] = {"loaded": loaded, **facts}
            if len(pages) > 1:
                continue
            if "LOOK" in os.environ:
                view.resize(width, min(facts["height"], 16_000))
                answer(lambda then: QTimer.singleShot(2000, then))  # until all of it is drawn
            view.grab().save(f"{folder}/{scheme}-{width}.png")
    if len(pages) == 1:
        told["seen"] = told["seen"][page]
        printed = f"{folder}/{scheme}.pdf"

        def to_pdf(then: Callable[..., None]) -> None:
            shown.pdfPrintingFinished.connect(then)
            shown.printToPdf(printed)

        answer(to_pdf)
        document = QPdfDocument()
        document.load(printed)
        sheets = range(document.pageCount())
        told["printed"] = [document.getAllText(number).text() for number in sheets]
        for number in sheets if "LOOK" in os.environ else ():
            size = (document.pagePointSize(number) * 1.6).toSize()
            document.render(number, size).save(f"{folder}/{scheme}-page{number}.png")
    print(json.dumps(told))
    sys.stdout.flush()
    os._exit(0)  # Qt takes seconds to let go of Chromium, and there is nothing to save


if __name__ == "__main__":
    main()
