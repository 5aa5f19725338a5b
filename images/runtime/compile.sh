#!/bin/sh
# The one recipe by which every image gets our code: compile.sh STEP [ROOM...]
# ROOM is a folder of our package that the step never imports, and that its image does not get.
# Bytecode is made here: the user of a container cannot write it, and each start would compile our code.
set -eu
cd /opt/bayesopt
step=$1
shift
for room in "$@"; do
  rm -r "code/kfp_bayesopt/$room"
done
for program in $(ls code/images) executor copy; do
  ln -s start "bin/$program"
done
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' code/kfp_bayesopt/version.py)
printf '{"version": "%s", "step": "%s"}\n' "$version" "$step" >runtime.json
python -m compileall -q --invalidation-mode unchecked-hash code
