set -e
sed -i 's#^/\?runs/\?$#/runs/#' .gitignore
sed -i 's#"recipes/\*.yaml"#"recipe/shipped/*.yaml"#' pyproject.toml
python3 /work/wt/house.py move
git add -A
python3 /work/wt/house.py names
/work/main/.venv/bin/ruff check . --fix -q >/dev/null || true
/work/main/.venv/bin/ruff format -q .
git add -A
