#!/bin/sh
# The one recipe by which every image gets our code: compile.sh STEP
# Bytecode is made here: the user of a container cannot write it, and each start would compile our code.
set -eu
cd /opt/bayesopt
sed -i "s|@PYTHON@|$(python -c 'import sys; print(sys.executable)')|" bin/start
for program in "$1" executor copy; do
  ln -s start "bin/$program"
done
python -m compileall -q --invalidation-mode unchecked-hash code
