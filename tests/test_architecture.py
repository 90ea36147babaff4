"""The shape of the code: layers, sizes, mirrored tests, nothing at import, nothing of one machine in the files."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path.relative_to(ROOT) for name in ("causalkd", "analysis") for path in (ROOT / name).rglob("*.py"))
MODULES = [path for path in SOURCES if path.name != "__init__.py"]
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))
FILE_LINES, FUNCTION_LINES = 300, 60

# Written so that this file does not match itself.
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(org|com)|download\.pytorch\.org|index[-_]url", re.IGNORECASE
)
MACHINE_PATH = re.compile(r"(?<![\w.:/~-])/(home|root|Users|work|tmp|opt)/\w")


def _parse(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def _functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _calls_at_import(node: ast.AST) -> list[ast.Call]:
    """The calls below a node that run when the module is imported: all but those in function bodies."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return []
    here = [node] if isinstance(node, ast.Call) else []
    return here + [call for child in ast.iter_child_nodes(node) for call in _calls_at_import(child)]


def test_import_layers(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=str)
def test_no_file_is_long(path: Path) -> None:
    lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert lines <= FILE_LINES, f"{path} has {lines} lines; split it, {FILE_LINES} are allowed"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_no_function_is_long(path: Path) -> None:
    functions = _functions(_parse(path))
    lengths = {f"{node.name} (line {node.lineno})": node.end_lineno - node.lineno + 1 for node in functions}
    long = {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES}
    assert not long, f"{path}: functions of more than {FUNCTION_LINES} lines: {long}"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_nothing_is_printed_at_import(path: Path) -> None:
    prints = [call.lineno for call in _calls_at_import(_parse(path)) if getattr(call.func, "id", "") == "print"]
    assert not prints, f"{path} prints at import, on lines {prints}"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_no_bare_except(path: Path) -> None:
    bare = [n.lineno for n in ast.walk(_parse(path)) if isinstance(n, ast.ExceptHandler) and n.type is None]
    assert not bare, f"{path}: bare except on lines {bare}; name the exception"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_is_mirrored_by_a_test(path: Path) -> None:
    folder = path.relative_to("causalkd").parent if path.parts[0] == "causalkd" else path.parent
    mirror = Path("tests") / folder / f"test_{path.name}"
    assert (ROOT / mirror).is_file(), f"{path} has no {mirror}"


def _project_files() -> list[Path]:
    """The files git would take, without the golden cases, which are others' numbers."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this tree is not a git checkout")
    files = [ROOT / name for name in names if name and not name.startswith("tests/golden/cases/")]
    return [path for path in files if path.is_file()]


def test_no_file_names_a_registry_or_a_machine() -> None:
    faults = []
    for path in _project_files():
        content = path.read_bytes()
        if b"\0" in content[:8192]:
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), 1):
            found = REGISTRY.search(line) or MACHINE_PATH.search(line)
            faults += [f"{path.relative_to(ROOT)}:{number}: {found.group()}"] if found else []
    assert not faults, "\n".join(faults)


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'transformers', 'pydantic', 'matplotlib', 'pyvene', 'transformer_lens'}"
    program = f"import sys, causalkd; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
