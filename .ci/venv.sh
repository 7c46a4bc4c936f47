#!/bin/sh
# Makes the virtual environment named by the first argument with the first Python that is new enough. $PYTHON overrides.
set -eu
venv=$1

for python in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        echo "Making $venv with $("$python" --version)."
        rm -rf "$venv"
        exec "$python" -m venv "$venv"
    fi
done

cat >&2 <<END
Cannot make $venv: none of ${PYTHON:-python3, python3.13, python3.12, python3.11, python} is Python 3.11 or later with the venv module.
Install one (on Debian and Ubuntu: apt install python3 python3-venv), or name it: make demo PYTHON=/path/to/python3
END
exit 1
