#!/bin/bash
# Put CPython 3.14 and 3.15 into a folder, for machines whose own system is older. Optional; needs root, Debian's
# debootstrap (apt-get install debootstrap) and about a minute:
#
#   tools/newer_pythons.sh                              into /opt/newer-pythons
#   PATH=/opt/newer-pythons/pythons:$PATH make test     now they are found like any other Python
#
#   tools/newer_pythons.sh /srv/pythons 3.15            another folder, these versions only
#
# The folder holds a small Debian unstable with the interpreters, their headers and CPython's own tests. The
# interpreters run outside of it: each is told where its own C library is, so venvs, wheels and extension
# modules work as with an installed Python. Run it again to have the newest releases; `rm -r` removes it.
set -euo pipefail

folder=${1:-/opt/newer-pythons}
versions=("${@:2}")
[ ${#versions[@]} -gt 0 ] || versions=(3.14 3.15)
mirror=${MIRROR:-http://deb.debian.org/debian}
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

fail() {
    echo "newer_pythons: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "needs root (chroot)"
[ "${folder:0:1}" = / ] || fail "$folder is no absolute path"
command -v debootstrap >/dev/null || fail "needs debootstrap (apt-get install debootstrap)"

make_system() {
    [ -e "$folder/etc/debian_version" ] && return
    debootstrap --variant=minbase --include=ca-certificates sid "$folder" "$mirror"
    # The interpreters name this folder in themselves; the link lets them run from inside too.
    mkdir -p "$folder$(dirname "$folder")"
    ln -sfn / "$folder$folder"
}

install_pythons() {
    local packages=(patchelf)
    for version in "${versions[@]}"; do
        packages+=("python$version" "python$version-dev" "python$version-venv" "libpython$version-testsuite")
    done
    # MIRROR may be a snapshot, whose lists are signed but old.
    chroot "$folder" apt-get update --quiet -o Acquire::Check-Valid-Until=false
    chroot "$folder" apt-get install --quiet --yes --no-install-recommends "${packages[@]}"
    for version in "${versions[@]}"; do
        # A fresh copy each time: what was changed below is not changed again.
        chroot "$folder" apt-get install --quiet --yes --reinstall "python$version-minimal"
    done
}

# Lets one interpreter of the folder run outside of it, with the folder's C library.
free() {
    local program="/usr/bin/python$1" libraries loader
    loader=$(chroot "$folder" patchelf --print-interpreter "$program")
    loader=$(chroot "$folder" readlink -f "$loader")
    libraries=$(dirname "$loader")
    # The order matters: with the loader first, patchelf 0.18 makes a program that crashes.
    chroot "$folder" patchelf --force-rpath --set-rpath "$folder$libraries" --output "$program.new" "$program"
    chroot "$folder" patchelf --set-interpreter "$folder$loader" "$program.new"
    mv "$folder$program.new" "$folder$program"
    mkdir -p "$folder/pythons"
    ln -sfn "$folder$program" "$folder/pythons/python$1"
    # Debian's header only names another one, which a compiler outside does not find.
    local include
    include=$("$folder/pythons/python$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    cp "$folder/usr/include/$(basename "$libraries")/python$1/pyconfig.h" "$include/pyconfig.h"
    # Where Debian keeps the pip that a new venv gets.
    sed -i "s|\(.WHEEL_PKG_DIR.: .\)/usr/|\1$folder/usr/|" "$folder/usr/lib/python$1"/_sysconfig*
    "$folder/pythons/python$1" -c 'import ssl, venv, ensurepip, test.test_asyncio.utils; ensurepip.version()'
}

{
    make_system
    install_pythons
    for version in "${versions[@]}"; do
        free "$version"
    done
} >&2
for version in "${versions[@]}"; do
    echo "$("$folder/pythons/python$version" --version) $folder/pythons/python$version"
done
echo "PATH=$folder/pythons:\$PATH make test"
