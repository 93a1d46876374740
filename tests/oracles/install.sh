#!/usr/bin/env bash
# Installs what tests compare with or scan, and what comes from package registries: install.sh <directory>
#
#   <directory>/python    packaging, from PyPI, for `PYTHONPATH`
#   <directory>/sbom      validators of SBOMs, from PyPI, for `PYTHONPATH`
#   <directory>/node      semver, from npm, in node_modules
#   <directory>/urllib3   urllib3 1.26.5, from PyPI, as pip installs it, in site-packages: a package to scan
#   <directory>/go        a program over golang.org/x/mod/semver and go/version, where Go 1.22 or newer is at hand
#
# dpkg comes with Debian. Says nothing when all is there already. Fails when something but Go's is not there afterwards.
set -euo pipefail

packaging=26.3
semver=7.8.6
xmod=v0.17.0
urllib3=1.26.5
urllib3_sha256=753a0374df26658f99d826cfe40394a686d05985786d946fbe4165b5148f5a7c

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

# pip, where there is one; otherwise that of a new virtual environment.
pip=()
find_pip() {
    [ ${#pip[@]} -eq 0 ] || return 0
    pip=(python3 -m pip)
    "${pip[@]}" --version >/dev/null 2>&1 && return
    python3 -m venv "$directory/venv" && pip=("$directory/venv/bin/pip")
}

# Installs into a directory and nowhere else: install_from_pypi <directory> <argument of pip>...
install_from_pypi() {
    local target=$1
    shift
    find_pip &&
        "${pip[@]}" install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --no-compile \
            --target "$target" "$@"
}

install_python() {
    is_there python "$packaging" && return
    start python
    install_from_pypi "$directory/python" "packaging==$packaging" || return
    finish python "$packaging"
}

install_sbom() {
    local version
    version=$(cksum <"$here/sbom_requirements.txt")
    is_there sbom "$version" && return
    start sbom
    install_from_pypi "$directory/sbom" --only-binary :all: --requirement "$here/sbom_requirements.txt" || return
    finish sbom "$version"
}

install_urllib3() {
    is_there urllib3 "$urllib3" && return
    start urllib3
    install_from_pypi "$directory/urllib3/site-packages" --only-binary :all: --require-hashes --requirement \
        <(echo "urllib3==$urllib3 --hash=sha256:$urllib3_sha256") || return
    finish urllib3 "$urllib3"
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
install_sbom || { echo "error: cannot install the validators of SBOMs into $directory/sbom" >&2; failed=1; }
install_urllib3 || { echo "error: cannot install urllib3 $urllib3 into $directory/urllib3" >&2; failed=1; }
install_node || { echo "error: cannot install semver $semver into $directory/node" >&2; failed=1; }
install_go || echo "warning: cannot build $here/compare_go.go; the order of Go versions is tested by tables alone" >&2
exit $failed
