"""The built console: static files, and the page itself for every address that is a view of it."""

from pathlib import Path, PurePosixPath

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_NOT_BUILT = (
    "The console is not built. The API is at /api/openapi.json.\n"
    "To build the console: npm --prefix web ci && npm --prefix web run build\n"
)


def console_directory(configured: Path | None) -> Path:
    """Where the built console lies: as configured, installed with the package, or built in the checkout."""
    if configured is not None:
        return configured
    package = Path(__file__).resolve().parents[1]
    installed = package / "console"
    return installed if installed.is_dir() else package.parents[1] / "web" / "dist"


class Console(StaticFiles):
    """Serves `directory` by GET and HEAD; unknown addresses without a file ending get index.html."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, html=False, check_dir=False)
        self._index = directory / "index.html"

    async def check_config(self) -> None:
        """A console that is not built is no error: `get_response` says how to build it."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file; hashed assets may be kept for good, everything else is asked for again."""
        # By the address as it was sent: `path` has been normalised, and `..` could lead out of /api.
        if scope["path"].rstrip("/") == "/api" or scope["path"].startswith("/api/"):
            raise HTTPException(404, "there is no such operation")
        if not self._index.is_file():
            return PlainTextResponse(_NOT_BUILT, status_code=404)
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or PurePosixPath(path).suffix:
                raise
            response = await super().get_response("index.html", scope)
        hashed = path.startswith("assets/") and response.status_code == 200
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
        return response
