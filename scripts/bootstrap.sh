#!/bin/sh
# Create the virtual environment $1 with uv in it, from whatever Python 3.11 or newer this machine has.
set -eu
venv=$1
supported='import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 14)))'

for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.14; do
    if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c "$supported" 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "${python:-}" ]; then
    echo "crossmargin needs Python 3.11 to 3.14; found: $("${PYTHON:-python3}" --version 2>&1 || true)." >&2
    echo "Install one, or name it: make test PYTHON=/path/to/python3.12" >&2
    exit 1
fi

echo "creating $venv with $("$python" --version)" >&2
if ! "$python" -m venv "$venv"; then
    rm -rf "$venv"
    echo "$python cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv" >&2
    exit 1
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'uv==0.13.9'
