"""What the pack adds to ComfyUI's server at start-up: routes for the editor, and the example pictures."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from pathlib import Path

import folder_paths
from aiohttp import web
from server import PromptServer

from ...models.class_lists import class_list
from ...models.thumbnails import COLUMNS, find_sheet
from ...synthesis import ExpressionError
from ...synthesis.text_classes import read_text_classes
from ...training import class_names
from .classifiers import classifier_choices
from .folders import classifier_folders, input_folder
from .live_routes import LiveRoutes
from .live_sessions import sessions

EXAMPLES = Path(__file__).parents[2] / "workflows" / "assets"
EXAMPLE_PREFIX = "robust_"


def register_routes() -> None:
    """Add the routes of the editor: notes on classifiers, class names, pictures of classes, and the Live Canvas."""
    # ComfyUI's nodes can be used without its server.
    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    routes: web.RouteTableDef = server.routes

    @routes.get("/robust_synthesis/classifiers")
    async def notes(_request: web.Request) -> web.Response:
        return web.json_response({name: choice.note for name, choice in classifier_choices().items()})

    # Posted, because texts may be longer than an address can be.
    @routes.post("/robust_synthesis/classes")
    async def classes(request: web.Request) -> web.Response:
        asked, sheet = {key: str(value) for key, value in (await request.post()).items()}, None
        if "folder" in asked:
            # A folder may be large, or on a slow disk.
            names, message = await asyncio.to_thread(_folder_classes, asked["folder"])
        elif "texts" in asked:
            names, message = _text_classes(asked["texts"])
        else:
            name = asked.get("classifier", "")
            names, message = class_list(name, classifier_folders())
            if find_sheet(name, classifier_folders()):
                sheet = {"columns": COLUMNS}
        return web.json_response({"classes": names, "message": message, "sheet": sheet})

    @routes.get("/robust_synthesis/thumbnails")
    async def thumbnails(request: web.Request) -> web.FileResponse:
        path = find_sheet(request.query.get("classifier", ""), classifier_folders())
        if path is None:
            raise web.HTTPNotFound(text="There are no pictures of this classifier's classes.")
        return web.FileResponse(path)

    LiveRoutes(sessions).add_to(routes)


def _folder_classes(folder: str) -> tuple[list[list[str]], str]:
    """The names of the classes in a folder of pictures, or why there are none."""
    try:
        return [[name] for name in class_names(input_folder(folder))], ""
    except (ValueError, OSError) as error:
        return [], str(error)


def _text_classes(texts: str) -> tuple[list[list[str]], str]:
    """The names of the classes that texts make, or why there are none."""
    try:
        return [[label] for label in read_text_classes(texts).labels], ""
    except ExpressionError as error:
        return [], str(error)


def provide_example_pictures() -> None:
    """Copy the example workflows' pictures into ComfyUI's input folder; existing ones are kept."""
    inputs = Path(folder_paths.get_input_directory())
    try:
        inputs.mkdir(parents=True, exist_ok=True)
        for picture in EXAMPLES.glob("*.png"):
            target = inputs / f"{EXAMPLE_PREFIX}{picture.name}"
            if not target.exists():
                shutil.copyfile(picture, target)
        for archive in EXAMPLES.glob("*.zip"):
            target = inputs / f"{EXAMPLE_PREFIX}{archive.stem}"
            if not target.exists():
                # Unpacked elsewhere and renamed, so that an interruption leaves no half folder.
                with tempfile.TemporaryDirectory(dir=inputs, prefix=".unpacking-") as unpacking:
                    shutil.unpack_archive(archive, Path(unpacking) / "whole")
                    (Path(unpacking) / "whole").rename(target)
    except OSError as error:
        # A read-only or full disk must not cost the artist the nodes.
        logging.warning("Robust Synthesis could not put its example pictures into %s: %s", inputs, error)
