#!/bin/sh
# Installs the judges of the MCP server into this folder (once) and lets them judge. Needs npm; Node itself comes along.
set -eu
cd "$(dirname "$0")"
[ -x node_modules/.bin/node ] || npm ci --no-progress --loglevel=error
cd ../..
exec "${PYTHON:-.venv/bin/python}" -m pytest tests/conformance "$@"
