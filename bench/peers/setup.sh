#!/bin/sh
# Installs the pinned llama.cpp and builds build/peers/llama_peer against it. Needs npm, git and a C++ compiler.
# "setup.sh server" also builds build/peers/server/bin/llama-server from its sources. Needs CMake and Ninja too.
#
# The npm package holds llama.cpp's shared libraries, one CPU backend per instruction set, and a git bundle of the
# very sources they were built from: its headers give the struct layouts, so nothing is declared by hand.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../build/peers
package=$here/node_modules/node-llama-cpp
libraries=$here/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64

cd "$here"
# --omit=optional and no scripts: otherwise 700 MB of GPU builds come along.
npm install --ignore-scripts --omit=optional --no-audit --no-fund --no-package-lock
mkdir -p "$build"
build=$(cd "$build" && pwd)
release=$(sed -n 's/.*"tag": "\(.*\)".*/\1/p' "$package/llama/llama.cpp.info.json")
if [ "$(cat "$build/release" 2>/dev/null)" != "$release" ]; then
  rm -rf "$build/llama.cpp"
  git -c advice.detachedHead=false clone --quiet "$package/llama/gitRelease.bundle" "$build/llama.cpp"
  echo "$release" > "$build/release"
fi

${CXX:-c++} -std=c++20 -O2 -Wall -Wextra "$here/llama_peer.cpp" -o "$build/llama_peer" \
  -isystem "$build/llama.cpp/include" -isystem "$build/llama.cpp/ggml/include" \
  -DLLAMA_LIBRARIES="\"$libraries\"" -DLLAMA_RELEASE="\"$release\"" \
  "$libraries/libllama.$release.so" "$libraries/libggml.$release.so" "$libraries/libggml-base.so" \
  -Wl,-rpath,"$libraries"
echo "built $build/llama_peer with llama.cpp $release"

[ "${1:-}" = server ] || exit 0
# For this processor, as whoever cares for speed builds it. What it would fetch is left out: its page, and what TLS needs.
cmake -S "$build/llama.cpp" -B "$build/server" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
  -DBUILD_SHARED_LIBS=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
  -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF
cmake --build "$build/server" --target llama-server
echo "built $build/server/bin/llama-server with llama.cpp $release"
