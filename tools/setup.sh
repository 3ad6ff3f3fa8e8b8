# What andiron needs from the system, and how to get it. Sourced by ./run, ./test and .ci/run, which set `root`.
# shellcheck shell=sh

# Debian 12 names. The only list there is.
packages_build="g++ cmake ninja-build libfmt-dev libcli11-dev libedit-dev libxxhash-dev libtomlplusplus-dev libsqlite3-dev libboost1.81-dev libgtest-dev"
packages_test="python3 python3-jinja2 python3-jsonschema binutils"
packages_ci="chromium fonts-dejavu-core clang clang-format clang-tidy libclang-rt-14-dev python3-torch libopenblas0-pthread haproxy systemd"
# For the page and for clients of the server (where this Node.js is too old for their tests, tests/node.cmake gets another).
# Any npm will do; Debian's cannot be installed beside a Node.js from elsewhere.
command -v npm >/dev/null || packages_test="$packages_test nodejs npm"

# The packages of $@ that are not installed.
packages_missing() {
  for package; do
    dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^.i' || printf '%s ' "$package"
  done
}

# Installs those of $@ that are missing. Without apt it trusts the system: what is missing shows when configuring.
packages_ensure() {
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0
  missing=$(packages_missing "$@")
  [ -n "$missing" ] || return 0
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "andiron needs these packages; install them as root: apt-get install $missing" >&2
      return 1
    fi
    as_root=sudo
  fi
  echo "Installing: $missing" >&2
  log=$(mktemp)
  if $as_root apt-get -q -o Acquire::Retries=3 update >"$log" 2>&1 &&
      $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends $missing >>"$log" 2>&1; then
    rm -f "$log"
  else
    tail -n 20 "$log" >&2
    echo "Installing failed (the whole log: $log). These packages are needed: $missing" >&2
    return 1
  fi
}

# Configures preset $1 unless it is.
configure() {
  [ -f "$root/build/$1/build.ninja" ] || configure_anew "$1"
}

configure_anew() {
  log=$(mktemp)
  if (cd "$root" && cmake --preset "$1") >"$log" 2>&1; then
    rm -f "$log"
  else
    cat "$log" >&2
    rm -f "$log"
    echo "CMake could not set up the build. It needs what Debian 12 calls: $packages_build" >&2
    echo "(a C++20 compiler, CMake 3.25, Ninja, fmt 9, CLI11 2, libedit, xxHash, toml++ 3, SQLite 3.40, Boost 1.81, GoogleTest)" >&2
    return 1
  fi
}

# up_to_date PRESET TARGET...: whether they are. CMake looks for new and changed source lists first. Named by its
# absolute path, build.ninja is a file that no rule makes: otherwise a dry run stops at "CMake would run" and says
# nothing of the target.
up_to_date() {
  folder=$root/build/$1
  shift
  log=$(mktemp)
  if ! ninja -C "$folder" build.ninja >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
  case $(ninja -C "$folder" -f "$folder/build.ninja" -n "$@" 2>/dev/null) in
    *"no work to do"*) return 0 ;;
  esac
  return 1
}

# build PRESET [TARGET...]: says nothing when there is nothing to do.
build() {
  preset=$1
  shift
  what=${*:-everything}
  [ $# -gt 0 ] || set -- all
  configure "$preset" || return 1
  up_to_date "$preset" "$@" && return 0
  echo "Building ($what, $preset); the first time takes minutes" >&2
  cmake --build "$root/build/$preset" --target "$@" >&2
}

# Of ctest's JUnit report $1: "tests failed skipped". Where a test of ctest is a program with many tests (cmake/tests.cmake),
# those count that it reports in folder $2; one more has failed where such a program failed and no test of it did, or
# ended without its report. What ctest could not run has failed too, but for what said that it is to be skipped. Those
# that were skipped go to file $3, each with what it gave as the reason: "NAME: REASON".
count_tests() {
  : >"$3"
  awk -v folder="$2" -v names="$3" '
    function attribute(line, name) { return match(line, name "=\"[^\"]*\"") ? substr(line, RSTART + length(name) + 2, RLENGTH - length(name) - 3) : "" }
    function plain(xml) {
      gsub(/&quot;/, "\"", xml); gsub(/&apos;/, "\047", xml); gsub(/&lt;/, "<", xml); gsub(/&gt;/, ">", xml); gsub(/&amp;/, "\\&", xml)
      return xml
    }
    function skip(name, reason) { ++skipped; print name ": " (reason == "" ? "gives no reason" : plain(reason)) >names }
    function second_line(message,    lines) { split(message, lines, "&#x0A;"); return lines[2] }  # the first is FILE:LINE
    function end_skip() { if (is_skipped) skip(name, reason); is_skipped = 0; is_next = 0; reason = "" }
    function count_program(file,    line, before, is_counted, skips) {
      before = failed
      while ((getline line <file) > 0) {
        if (line ~ /^    <testcase /) {
          if (skips != "") skip(skips)
          ++tests
          skips = attribute(line, " result") == "completed" ? "" : attribute(line, " classname") "." attribute(line, " name")
          is_counted = 0
        } else if (line ~ /^      <skipped / && skips != "") {
          skip(skips, second_line(attribute(line, " message")))
          skips = ""
        } else if (line ~ /^      <failure / && !is_counted++) ++failed
      }
      if (skips != "") skip(skips)
      close(file)
      return failed - before
    }
    /^\t<testcase / {
      end_skip()
      status = attribute($0, " status")
      name = attribute($0, " name")
      file = folder "/" name ".xml"
      has_report = (getline line <file) > 0
      close(file)
      if (!has_report && status == "run" && name ~ /_test\.[0-9]+$/) status = "fail"
      if (has_report && (count_program(file) || status == "run")) next
      ++tests
      if (status == "fail" || status == "notrun") ++failed
      else if (status != "run") skip(name)
    }
    /^\t\t<skipped message="SKIP_/ { --failed; is_skipped = 1 }
    # What it wrote: GoogleTest has the reason below "FILE:LINE: Skipped", scripts in a line of their own.
    is_skipped && reason == "" {
      sub(/^\t\t<system-out>/, "")
      if (is_next) reason = $0
      is_next = /: Skipped$/
      if (match($0, /^(-- )?skipped: /)) reason = substr($0, RLENGTH + 1)
    }
    END { end_skip(); print tests + 0, failed + 0, skipped + 0 }' "$1"
}

# run_tests PRESET [CTEST OPTION...]: fails when a test does. Ends with a line "was skipped: NAME: REASON" for every test
# that was, and with "N passed, N failed, N skipped".
run_tests() {
  preset=$1
  shift
  report=$root/build/$preset/tests.xml
  rm -rf "$report" "$root/build/$preset/gtest"
  status=0
  (cd "$root" && ctest --preset "$preset" --parallel "$(nproc)" --output-junit "$report" "$@") || status=1
  tests=0 failed=0 skipped=0
  [ ! -f "$report" ] || read -r tests failed skipped <<EOF
$(count_tests "$report" "$root/build/$preset/gtest" "$root/build/$preset/skipped")
EOF
  if [ "${tests:-0}" -eq 0 ]; then
    echo "no test ran" >&2
    return 1
  fi
  sed 's/^/was skipped: /' "$root/build/$preset/skipped"
  echo "$((tests - failed - skipped)) passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ] || status=1  # ctest takes a program that ended early for one that passed
  return $status
}
