"""Starts the studio: python -m app [--share] [--host H] [--port P] [--project FOLDER] [--window] [--no-open]"""

import argparse
import importlib.util
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import app  # noqa: F401  before gradio, see there
from app import texts
from app.desk import Desks
from app.projects import projects_folder
from engine.errors import StudioError

LOOPBACK = "127.0.0.1"


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _as_interrupt)
    if options.window and not _window_possible():
        print(texts.NO_WINDOW, texts.NO_WINDOW_REMEDY, sep="\n", file=sys.stderr)
        return 1
    public = options.share or options.host != LOOPBACK
    together = options.together if options.together is not None else not public
    try:
        desks = Desks(projects_folder(), together, options.project)
        if together:
            desks.of("")  # says at once what is wrong with the project or its folder
    except (StudioError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    try:
        return _serve(desks, options)
    except KeyboardInterrupt:
        return 0
    finally:
        desks.close()


def _serve(desks: Desks, options: argparse.Namespace) -> int:
    from app.studio import build_page, launch_options

    page = build_page(desks)
    if options.share or options.host != LOOPBACK:
        print(texts.PUBLIC_NOTE if desks.together else texts.VISITORS_NOTE)
    try:
        page.launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            inbrowser=options.open and not options.window,
            prevent_thread_lock=True,
            **launch_options(desks),
        )
    except OSError as error:  # the port is taken
        print(f"{error}\nChoose another one: --port 7870", file=sys.stderr)
        return 1
    threading.Thread(target=_warm_up, name="studio-warm-up", daemon=True).start()
    if options.window:
        _show_window(str(page.local_url))
        page.close()
    else:
        page.block_thread()
    return 0


def _warm_up() -> None:
    """While the creator still looks for the photo: the first analysis then starts at once."""
    from engine.jobs.analyse import warm_up

    try:
        warm_up()
    except Exception:
        logging.getLogger(__name__).exception("Warming up failed")


def _window_possible() -> bool:
    return importlib.util.find_spec("webview") is not None


def _show_window(address: str) -> None:
    """The page in a window of its own; comes back when it is closed."""
    import webview

    webview.create_window(texts.TITLE, address, width=1360, height=900)
    webview.start(private_mode=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python launch.py", description="The studio page.")
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (this computer only, if not given)")
    parser.add_argument("--port", type=int, default=_port(), help="port (the first free one from 7860, if not given)")
    parser.add_argument("--share", action="store_true", help="a public address for a while, through gradio's servers")
    parser.add_argument("--project", type=Path, metavar="FOLDER", help="open this project, or make it")
    parser.add_argument(
        "--together",
        action=argparse.BooleanOptionalAction,
        help="everybody who can reach the page shares its projects (so on this computer alone); otherwise each browser "
        "has projects of its own (so with --host and --share)",
    )
    parser.add_argument("--window", action="store_true", help="a window of its own; needs pip install pywebview")
    parser.add_argument(
        "--open", action=argparse.BooleanOptionalAction, default=_has_screen(), help="open the page in the browser"
    )
    return parser


def _has_screen() -> bool:
    """Without one, a browser for text terminals would take over this terminal."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _port() -> int | None:
    asked = os.environ.get("GRADIO_SERVER_PORT", "")
    return int(asked) if asked.isdigit() else None


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
