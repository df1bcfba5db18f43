"""Write `.env.example` from src/config/settings.py: `.venv/bin/python scripts/env_example.py`."""

import ast
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pydantic_core import PydanticUndefined  # noqa: E402

from src.config.settings import Settings  # noqa: E402

_SOURCE = ROOT / "src" / "config" / "settings.py"
_GROUP = "    # --- "
_WIDTH = 120
_HEAD = """\
# Every setting of the service, with its default. scripts/env_example.py makes this file from src/config/settings.py.
# Copy it to .env and remove the # before what you change, or set an environment variable of the same name, which wins
# over .env. An empty value means: unset."""


def example() -> str:
    """What `.env.example` holds."""
    lines = _SOURCE.read_text().splitlines()
    groups = {number: line for number, line in enumerate(lines, 1) if line.startswith(_GROUP)}
    written = [_HEAD]
    for name, (line, described) in _described().items():
        while groups and min(groups) < line:
            written.append(f"\n# --- {groups.pop(min(groups)).removeprefix(_GROUP)}\n")
        comment = textwrap.fill(described, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
        written.append(f"{comment}\n#{name.upper()}={_value(Settings.model_fields[name].default)}")
    return "\n".join(written) + "\n"


def _described() -> dict[str, tuple[int, str]]:
    """The line and the docstring of each setting, in the order of the file."""
    module = ast.parse(_SOURCE.read_text())
    (settings,) = (node for node in module.body if isinstance(node, ast.ClassDef))
    found = {}
    for node, after in zip(settings.body, settings.body[1:], strict=False):
        match node, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = node.lineno, " ".join(text.split())
    return found


def _value(default: Any) -> str:
    """Empty: unset, or as the description says."""
    if default is None or default is PydanticUndefined:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:.10g}"
    return ",".join(default) if isinstance(default, list) else str(default)


if __name__ == "__main__":
    (ROOT / ".env.example").write_text(example())
