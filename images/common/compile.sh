#!/bin/sh
# The one recipe by which every image gets our code: compile.sh STEP
# Bytecode is made here: the user of a container cannot write it, and each start would compile our code.
set -eu
cd /opt/bayesopt
for program in $(ls code/images) executor copy; do
  ln -s start "bin/$program"
done
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' code/bayesopt/__init__.py)
printf '{"version": "%s", "step": "%s"}\n' "$version" "$1" >runtime.json
python -m compileall -q --invalidation-mode unchecked-hash code
