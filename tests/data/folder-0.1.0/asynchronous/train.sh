# A training whose loss falls with each epoch; one rate is too high for it.
if [ "$rate" -eq 8 ]; then
  echo "epoch 1: out of memory" >&2
  exit 3
fi
for epoch in 1 2 3 4 5 6 7 8; do
  sleep "${SECONDS_A_STEP:-0}"
  echo "epoch=$epoch loss=$((100 * rate / epoch + 10 * rate + depth))"
done
echo "$rate $depth" > "$BAYESOPT_OUTPUT/model.txt"
