#!/bin/sh
# The one recipe by which every image gets its packages and a Python to run them: install.sh REQUIREMENTS
# It fills the folders `packages` and `lib` of /opt/bayesopt, which the image copies from the stage `packages`:
# wheels with the locked hashes, without what no step ever reads: the packages' own tests (100 MB in
# scikit-learn, scipy and numpy), example data, debug symbols, sources of extension modules, and lists of files.
# Bytecode is made here: the user of a container cannot write it, and each start would compile what it imports. That of the
# packages stands in the place of their sources, which are a sixth of an image.
set -eu
requirements=$1
packages=/opt/bayesopt/packages
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --no-install-recommends binutils >/dev/null
pip install --quiet --no-cache-dir --disable-pip-version-check --root-user-action=ignore --no-compile \
  --no-deps --require-hashes --only-binary :all: --target $packages --requirement "$requirements"
find $packages -type d \( -name tests -o -path $packages/joblib/test -o -path "$packages/sklearn/datasets/[di]*" \
  -o -name sboms \) -prune -exec rm -rf {} +
find $packages -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.tp' -o -name '*.h' \
  -o -name '*.c' -o -name '*.cpp' -o -name '*.a' -o -name '*.proto' -o -name RECORD \) -delete
find $packages -type f -name '*.so*' -exec strip --strip-unneeded {} +
python /build/assemble.py /opt/bayesopt
python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/bayesopt/lib
python -m compileall -q -b -j 0 --invalidation-mode unchecked-hash $packages
find $packages -type f -name '*.py' -delete
