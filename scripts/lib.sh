# Shared by the scripts beside it; meant to be sourced with the project's root as working directory.

NOT_RUN_FILE=.cache/not-run

# not_run NAME REASON: remembers that the programs of NAME cannot run here, for the end of `make test`.
not_run() {
  mkdir -p .cache
  grep -qsF "$1: " "$NOT_RUN_FILE" || printf '%s: %s\n' "$1" "$2" >>"$NOT_RUN_FILE"
  echo "not run: $1: $2" >&2
}

# in_cache NAME FILE...: the folder for NAME as those files describe it, e.g. .cache/python-1f0c6c0fb4e2.
in_cache() {
  local name=$1
  shift
  printf '.cache/%s-%s\n' "$name" "$(cat "$@" | cksum | tr -d ' ')"
}

# may_apt: whether Debian packages can be installed without asking anyone.
may_apt() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

# apt_install PACKAGE...: quiet, and never a question.
apt_install() {
  echo "installing Debian packages: $*" >&2
  apt-get update -qq >&2 || true
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" >&2
}
