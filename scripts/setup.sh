# SPDX-License-Identifier: GPL-3.0-or-later
# Set-up shared by scripts/run and scripts/test: Debian packages, virtual environment, pjsua2, models.
# Sourced, not run. Everything slow is cached outside the checkout; a step already done costs a file comparison.

set -euo pipefail
HERE="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/parley"
VENV="$PWD/.venv"
PYTHON="$VENV/bin/python"
mkdir -p "$CACHE"

say() { printf '[set-up] %s\n' "$*" >&2; }
fail() { printf '[set-up] failed: %s\n' "$*" >&2; exit 2; }

# packages NAME...: install what is missing of these Debian packages.
packages() {
    local missing=() name
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || fail "this needs Debian (apt-get) or, installed by hand: ${missing[*]}"
    local root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo)
    say "installing Debian packages: ${missing[*]}"
    "${root[@]}" apt-get update -qq >"$CACHE/apt.log" 2>&1 || say "apt-get update failed, going on with the lists at hand"
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >>"$CACHE/apt.log" 2>&1 || { tail -n 15 "$CACHE/apt.log" >&2; fail "apt-get install ${missing[*]} (log: $CACHE/apt.log)"; }
}

# find_python: the interpreter to build on: 3.11 or newer.
find_python() {
    local name
    for name in "${PARLEY_PYTHON:-}" python3.11 python3.12 python3.13 python3; do
        [ -n "$name" ] && command -v "$name" >/dev/null &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$name"; return; }
    done
    fail "no Python 3.11 or newer: apt-get install python3"
}

# environment EXTRA: the virtual environment with this project and its dependencies (EXTRA: "" or "test").
environment() {
    local extra="$1" python stamp
    python="$(find_python)"
    stamp="$(sha256sum pyproject.toml | cut -c1-16) $python $extra"
    if [ -x "$PYTHON" ] && { [ "$(cat "$VENV/parley-stamp" 2>/dev/null)" = "$stamp" ] ||
        { [ -z "$extra" ] && [ "$(cat "$VENV/parley-stamp" 2>/dev/null)" = "${stamp}test" ]; }; }; then
        return
    fi
    say "creating $VENV with the Python packages of pyproject.toml"
    "$python" -m venv "$VENV" || fail "python3 -m venv (apt-get install python3-venv)"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check -e ".${extra:+[$extra]}" >"$CACHE/pip.log" 2>&1 ||
        { tail -n 15 "$CACHE/pip.log" >&2; fail "pip install (log: $CACHE/pip.log)"; }
    printf '%s' "$stamp" >"$VENV/parley-stamp"
}

# set_up EXTRA: all that `parley serve` needs, and with EXTRA=test what the checks need.
set_up() {
    local begun=$SECONDS
    packages python3-venv $(scripts/build_pjsua2 --packages)
    environment "$1"
    # Standard output belongs to what is run afterwards.
    scripts/build_pjsua2 --install "$PYTHON" >&2
    "$PYTHON" -m agent.local.models >&2
    say "ready after $((SECONDS - begun)) s"
}

# local_llm: llama.cpp's server and a small language model, in an environment of their own: $LOCAL_LLM.
local_llm() {
    local wanted="xllamacpp==2026.10.11549" python
    LOCAL_LLM="$CACHE/local-llm"
    python="$(find_python)"
    if [ "$(cat "$LOCAL_LLM/stamp" 2>/dev/null)" != "$wanted $python" ]; then
        say "creating $LOCAL_LLM with $wanted"
        "$python" -m venv --clear "$LOCAL_LLM" || fail "python3 -m venv (apt-get install python3-venv)"
        "$LOCAL_LLM/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$wanted" \
            >"$CACHE/pip.log" 2>&1 || { tail -n 15 "$CACHE/pip.log" >&2; fail "pip install $wanted (log: $CACHE/pip.log)"; }
        printf '%s' "$wanted $python" >"$LOCAL_LLM/stamp"
    fi
    "$PYTHON" -m agent.local.models --small-llm --folder "$CACHE/local-llm-models" >&2
}

# axe_core: the accessibility checker that tests run in pages, $AXE_CORE/axe.min.js.
axe_core() {
    local wanted="axe-core@4.14.1"
    AXE_CORE="$CACHE/$wanted"
    [ -f "$AXE_CORE/axe.min.js" ] && return
    say "fetching $wanted"
    local folder
    folder="$(mktemp -d "$CACHE/axe.XXXXXX")"
    (cd "$folder" && npm pack --silent "$wanted" >/dev/null && tar xzf axe-core-*.tgz) >"$CACHE/npm.log" 2>&1 ||
        { tail -n 15 "$CACHE/npm.log" >&2; rm -rf "$folder"; fail "npm pack $wanted (log: $CACHE/npm.log)"; }
    rm -rf "$AXE_CORE"
    mv "$folder/package" "$AXE_CORE"
    rm -rf "$folder"
}
