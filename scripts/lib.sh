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

# apt_install PACKAGE...: quiet, and never a question. One at a time: scripts run side by side, and the package lists have one lock.
apt_install() {
  echo "installing Debian packages: $*" >&2
  mkdir -p .cache
  (
    flock 9
    apt-get update -qq >&2 || true
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" >&2
  ) 9>.cache/apt.lock
}

# quiet COMMAND...: shows what it printed only when it fails.
quiet() {
  local log
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

# find_python MINOR: a Python from 3.MINOR on, preferably $PYTHON. The service SDK's AMQP library, uamqp, has wheels up to 3.13.
find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3.10 python3.9 python3; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c "import sys; sys.exit(not (3, $1) <= sys.version_info[:2] <= (3, 13))" 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
}

# make_venv PYTHON FOLDER: a virtual environment without anything of an earlier attempt.
make_venv() {
  rm -rf "$2"
  mkdir -p .cache
  export PIP_DISABLE_PIP_VERSION_CHECK=1
  quiet "$1" -m venv "$2" || { may_apt && apt_install python3-venv && quiet "$1" -m venv "$2"; }
}

# page_commands START: the commands of the documentation's pages that begin so, such as the installs of packages, each once. Those of a file of requirements belong to
# programs elsewhere in the checkout, and are left out.
page_commands() {
  sed -n "s/^ *\($1 .*\)\$/\1/p" docs/*.md README.md CONTRIBUTING.md | sed '/ -r /d' | sort -u
}

# page_files PAGE FOLDER: writes the files that a page of the documentation has its reader save.
page_files() {
  mkdir -p "$2"
  awk -v folder="$2" '
    /^ *<!-- (file|append): / { name = $0; sub(/.*: /, "", name); sub(/ *-->.*/, "", name); next }
    name != "" && /^ *```/ {
      if (inside) { close(path); inside = 0; name = ""; next }
      inside = 1; path = folder "/" name
      parent = path; sub(/\/[^\/]*$/, "", parent); system("mkdir -p \"" parent "\"")
      next
    }
    inside { print > path }' "$1"
}
