"""The shape of the code: layers, sizes, mirrored tests, nothing at import, nothing of one machine in the files."""

import ast
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import torch
from beartype.roar import BeartypeCallHintParamViolation

from causalkd.losses.decoupled import decoupled
from tests.checked_packages import PLAIN

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path.relative_to(ROOT) for name in ("causalkd", "analysis") for path in (ROOT / name).rglob("*.py"))
MODULES = [path for path in SOURCES if path.name != "__init__.py"]
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))
FILE_LINES, FUNCTION_LINES, ROOT_FILES = 300, 60, 6

# Written so that this file does not match itself.
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(org|com)|download\.pytorch\.org|index[-_]url", re.IGNORECASE
)
MACHINE_PATH = re.compile(r"(?<![\w.:/~-])/(home|root|Users|work|tmp|opt)/\w")


def _parse(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def _mirror(path: Path) -> Path:
    folder = path.relative_to("causalkd").parent if path.parts[0] == "causalkd" else path.parent
    return Path("tests") / folder / f"test_{path.name}"


def _functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _calls_at_import(node: ast.AST) -> list[ast.Call]:
    """The calls below a node that run when the module is imported: all but those in function bodies."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return []
    here = [node] if isinstance(node, ast.Call) else []
    return here + [call for child in ast.iter_child_nodes(node) for call in _calls_at_import(child)]


def test_import_layers() -> None:
    # A process of its own: import-linter sets logging up again, which closes the streams of other libraries' handlers.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    linted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_no_file_is_long() -> None:
    lengths = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in SOURCES + TESTS}
    long = {name: lines for name, lines in lengths.items() if lines > FILE_LINES}
    assert not long, f"{FILE_LINES} lines are allowed; split {long}"


def test_no_function_is_long() -> None:
    functions = [(path, node) for path in SOURCES for node in _functions(_parse(path))]
    lengths = {f"{path}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1 for path, node in functions}
    long = {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES}
    assert not long, f"{FUNCTION_LINES} lines are allowed; split {long}"


def test_few_files_lie_at_the_root() -> None:
    found = sorted(path.name for path in SOURCES if path.parent == Path("causalkd"))
    assert len(found) <= ROOT_FILES, f"{ROOT_FILES} files are allowed at the root of causalkd; move some of {found}"


def test_the_first_line_of_a_module_is_a_sentence() -> None:
    firsts = {str(path): (ast.get_docstring(_parse(path)) or "").split("\n")[0] for path in SOURCES}
    cut = {name: first for name, first in firsts.items() if not first.endswith((".", "?", "`"))}
    assert not cut, f"the first line alone is read in a list of files; end it: {cut}"


def test_nothing_is_printed_at_import() -> None:
    calls = [(path, call) for path in SOURCES for call in _calls_at_import(_parse(path))]
    prints = [f"{path}:{call.lineno}" for path, call in calls if getattr(call.func, "id", "") == "print"]
    assert not prints, f"printed when imported: {prints}"


def test_no_bare_except() -> None:
    handlers = [(p, node) for p in SOURCES for node in ast.walk(_parse(p)) if isinstance(node, ast.ExceptHandler)]
    bare = [f"{path}:{node.lineno}" for path, node in handlers if node.type is None]
    assert not bare, f"name the exception: {bare}"


def test_no_checkpoint_runs_code_of_its_own() -> None:
    calls = [
        (path, node)
        for path in SOURCES
        for node in ast.walk(_parse(path))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("from_pretrained", "from_config")
    ]
    refusing = {
        (path, call.lineno)
        for path, call in calls
        for given in call.keywords
        if given.arg == "trust_remote_code" and isinstance(given.value, ast.Constant) and given.value.value is False
    }
    trusting = [f"{path}:{call.lineno}" for path, call in calls if (path, call.lineno) not in refusing]
    assert calls and not trusting, f"pass trust_remote_code=False, or transformers asks whoever is there: {trusting}"


def test_every_module_is_mirrored_by_a_test() -> None:
    missing = {str(path): str(_mirror(path)) for path in MODULES if not (ROOT / _mirror(path)).is_file()}
    assert not missing, f"modules without their test file: {missing}"


def test_the_types_of_every_package_are_checked() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    (shapes,) = [option.partition("=")[2] for option in options if option.startswith("--jaxtyping-packages")]
    checked = [*shapes.split(",")[:-1], *(f"causalkd.{part}" for part in PLAIN)]
    names = [".".join(path.with_suffix("").parts) for path in MODULES]
    unchecked = [name for name in names if not any(name == part or name.startswith(f"{part}.") for part in checked)]
    assert unchecked == ["causalkd.__main__", "causalkd.task_types"], "these define no function"


def test_shapes_in_signatures_are_checked() -> None:
    logits = torch.zeros(2, 3, 5)
    with pytest.raises(BeartypeCallHintParamViolation, match=r"student_logits|teacher_logits"):
        decoupled(logits, torch.zeros(2, 3, 7), torch.zeros(2, 3, dtype=torch.long), 1.0, 1.0)


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    own = {project["name"]}  # an extra may take another one in
    missing = {re.match(r"[\w.-]+", name)[0].lower() for name in declared} - {name.lower() for name in pins} - own
    assert not missing, f"constraints.txt does not pin {sorted(missing)}"


def test_every_pin_that_is_installed_has_the_digests_of_its_files() -> None:
    """pip takes no file whose digest is not listed; torch's builds lie on several indexes, and two extras are apart."""
    pins, locked, weights = (_pins(name) for name in ("constraints.txt", "constraints.lock", "weights.txt"))
    assert locked.items() <= pins.items() and pins.keys() - locked.keys() <= {"torch", "gguf", "lm-eval"}
    assert weights["gguf"] == pins["gguf"]
    for name in ("constraints.lock", "weights.txt"):
        text = re.sub("^#.*\n", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
        entry = r"[\w.-]+==[\w.]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
        assert re.fullmatch(f"({entry})+", text), f"{name} holds more than versions and digests"


def _pins(file: str) -> dict[str, str]:
    """The pinned version by the name of the package, as indexes write it."""
    found = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def _project_files() -> list[Path]:
    """The files git would take, without the golden cases, which are others' numbers."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this tree is not a git checkout")
    files = [ROOT / name for name in names if name and not name.startswith("tests/golden/cases/")]
    return [path for path in files if path.is_file()]


def test_git_ignores_no_module() -> None:
    listing = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "causalkd", "analysis", "tests"]
    try:
        found = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this tree is not a git checkout")
    assert not [name for name in found if name.endswith((".py", ".yaml", ".j2"))]


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


@pytest.mark.parametrize(
    ("module", "light"),
    [("causalkd", {"pydantic"}), ("causalkd.cli", {"pydantic"}), ("causalkd.recipe.recipe", set())],
)
def test_importing_names_and_recipes_imports_nothing_heavy(module: str, light: set[str]) -> None:
    heavy = {"torch", "transformers", "matplotlib", "pyvene", "transformer_lens", *light}
    program = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
