#!/bin/sh
# Makes a base image for deploy/Dockerfile from Debian's packages, where no image registry can be reached:
#   deploy/debian-base.sh IMAGE PACKAGES [buildah options]
# PACKAGES, separated by commas, are python3-venv,ca-certificates for BASE and python3-venv,binutils for BUILD_BASE.
# Needs root, buildah and debootstrap. Suite and mirror are those of this machine's apt.
set -eu
image=$1
packages=$2
shift 2

suite=${SUITE:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" \
    | sort --unique | head -n 1)}

container=$(buildah "$@" from scratch)
trap 'buildah "$@" rm "$container" > /dev/null' EXIT
root=$(buildah "$@" mount "$container")
debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" > /dev/null

# What debootstrap takes over from this machine, what apt and dpkg keep, and what nobody reads in a container
: > "$root/etc/apt/sources.list"
rm -rf "$root"/dev/* "$root"/etc/hostname "$root"/etc/resolv.conf "$root"/etc/machine-id "$root"/debootstrap \
    "$root"/var/cache/* "$root"/var/log/* "$root"/var/lib/apt/lists/* "$root"/tmp/* \
    "$root"/usr/share/info/* "$root"/usr/share/locale/* "$root"/usr/share/man/*
find "$root/usr/share/doc" -type f ! -name copyright -delete
find "$root/usr/share/doc" -type l -delete

buildah "$@" umount "$container" > /dev/null
buildah "$@" config --cmd python3 "$container"
buildah "$@" commit --quiet "$container" "$image" > /dev/null
