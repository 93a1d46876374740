#!/usr/bin/env bash
# Installs the reference implementations of version orders: install.sh <directory>
#
#   <directory>/python    packaging, from PyPI, for `PYTHONPATH`
#   <directory>/node      semver, from npm, in node_modules
#   <directory>/go        a program over golang.org/x/mod/semver and go/version, where Go 1.22 or newer is at hand
#
# dpkg comes with Debian. Says nothing when all is there already. Fails when Python's or Node's is not there afterwards.
set -euo pipefail

packaging=26.3
semver=7.8.6
xmod=v0.17.0

if [ $# -ne 1 ]; then
    echo "usage: $0 <directory>" >&2
    exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
directory=$(cd "$1" && pwd)

# A directory is complete when it says of which version.
is_there() { [ -f "$directory/$1/installed" ] && [ "$(cat "$directory/$1/installed")" = "$2" ]; }
start() { rm -rf "${directory:?}/$1" && mkdir "$directory/$1"; }
finish() { printf '%s\n' "$2" >"$directory/$1/installed"; }

failed=0

install_python() {
    is_there python "$packaging" && return
    start python
    if python3 -m pip --version >/dev/null 2>&1; then
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
            --target "$directory/python" "packaging==$packaging" || return
    else
        python3 -m venv "$directory/python/venv" || return
        "$directory/python/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
            --target "$directory/python" "packaging==$packaging" || return
    fi
    finish python "$packaging"
}

install_node() {
    is_there node "$semver" && return
    start node
    npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix "$directory/node" \
        "semver@$semver" || return
    finish node "$semver"
}

install_go() {
    command -v go >/dev/null || return 0
    local version
    version="$xmod $(cksum <"$here/compare_go.go")"
    is_there go "$version" && return
    start go
    cp "$here/compare_go.go" "$directory/go/main.go"
    (
        cd "$directory/go"
        export GOFLAGS=-mod=mod GOTOOLCHAIN=local GOWORK=off
        go mod init hullmark.dev/oracle && go get "golang.org/x/mod@$xmod" && go build -o compare_go .
    ) >"$directory/go/log" 2>&1 || { tail -n 5 "$directory/go/log" >&2; return 1; }
    finish go "$version"
}

install_python || { echo "error: cannot install packaging $packaging into $directory/python" >&2; failed=1; }
install_node || { echo "error: cannot install semver $semver into $directory/node" >&2; failed=1; }
install_go || echo "warning: cannot build $here/compare_go.go; the order of Go versions is tested by tables alone" >&2
exit $failed
