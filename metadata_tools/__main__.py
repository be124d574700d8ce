"""Lists the commands of this package when `python -m metadata_tools` is called."""

import ast
from pathlib import Path


def commands() -> dict[str, str]:
    """Return the first line of each command's docstring, without importing the commands."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.stem] = text.partition("\n")[0]
    return found


def main() -> int:
    """Print the name and the purpose of each command."""
    listed = commands()
    width = max(map(len, listed))
    print("python -m metadata_tools.COMMAND; its options: --help\n")
    for name, purpose in listed.items():
        print(f"  {name:{width}}  {purpose}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
