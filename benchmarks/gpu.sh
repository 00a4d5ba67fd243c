#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in under eight minutes: correctness first, then the figures.
#
#   benchmarks/gpu.sh [DIRECTORY]       results go there (default: benchmarks/results)
#   benchmarks/gpu.sh --rehearse DIR    the same on a CPU with little: to see that all of it runs
#
# $PYTHON (default: python3) is used as it is if it has all that is needed and sees a GPU; else an
# environment is made in $LORA_BERT_VENV (default: .venv-gpu), for which pip needs its registry.
# $LORA_BERT_GPU_SECONDS (default: 460) is the time for it all; what does not fit is left out, and
# `python -m benchmarks NAME --device cuda --resume` goes on with what a stage has not measured.
# $LORA_BERT_GPU_ROUNDS (default: 2) is how often `train` and `predict` measure everyone.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
device=(--device cuda) marker=cuda
if [ "${1:-}" = --rehearse ]; then
  device=(--quick) marker="cuda or not cuda"
  shift
fi
results=${1:-benchmarks/results}
limit=${LORA_BERT_GPU_SECONDS:-460} rounds=${LORA_BERT_GPU_ROUNDS:-2}
mkdir -p "$results" || exit
log="$results/gpu.log" stages="$results/gpu-stages.txt"
: >"$log" >"$stages"

ready() {
  "$1" - "$marker" 2>/dev/null <<'EOF'
import sys
import accelerate, click, filelock, gguf, hypothesis, matplotlib, peft, platformdirs, psutil, pyarrow
import pytest, scipy, sklearn, tokenizers, torch, tqdm, transformers
sys.exit(sys.argv[1] == "cuda" and not torch.cuda.is_available())
EOF
}

environment() {
  python=${PYTHON:-python3}
  ready "$python" && return
  local venv=${LORA_BERT_VENV:-.venv-gpu}
  echo "Installing into $venv …"
  # What is there already (a torch with CUDA above all) need not be fetched again.
  "$python" -m venv --system-site-packages "$venv" || return
  python="$venv/bin/python"
  cp constraints.txt "$venv/constraints.txt"
  if "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    grep -v '^torch==' constraints.txt >"$venv/constraints.txt"
  fi
  "$python" -m pip install --quiet --disable-pip-version-check -c "$venv/constraints.txt" -e ".[dev]"
  ready "$python"
}

left() { echo $((limit - SECONDS)); }

# stage NAME SECONDS COMMAND …: run it if about so many seconds are left, and never longer than all.
stage() {
  local name=$1 needs=$2 begun=$SECONDS state
  shift 2
  if [ "$(left)" -lt "$needs" ]; then
    state="left out: it takes about $needs s, and $(left) s were left"
  else
    echo "── $name" | tee -a "$log"
    timeout --signal=INT --kill-after=10 "$(left)" "$@" 2>&1 | tee -a "$log"
    case ${PIPESTATUS[0]} in
      0) state="done in $((SECONDS - begun)) s" ;;
      124 | 137) state="broken off when time was up" ;;
      *) state="FAILED after $((SECONDS - begun)) s" ;;
    esac
  fi
  echo "$name: $state" | tee -a "$stages"
}

bench() {
  local name=$1 needs=$2
  shift 2
  local title="$name${*:+ $*}"
  stage "${title%% --only*}" "$needs" "$python" -m benchmarks "$name" "${device[@]}" --results "$results" "$@"
}

if ! environment; then
  echo "gpu.sh: no Python with all packages and a GPU: install lora-bert[dev] with a CUDA build of torch." >&2
  exit 69
fi
SECONDS=0
"$python" -c 'import torch; print("torch", torch.__version__, torch.cuda.is_available() and torch.cuda.get_device_name())' | tee -a "$log"
mapfile -t tests < <(grep -rl --include='test_*.py' 'mark\.cuda' tests | sort)
side_by_side=()
"$python" -c 'import xdist' 2>/dev/null && side_by_side=(-n 8 --dist worksteal)
# Sockets need not be blocked here: the options of pyproject.toml would ask for one more package.
stage tests 60 "$python" -m pytest -q -rf -o addopts= --strict-markers "${side_by_side[@]}" -m "$marker" "${tests[@]}"
hf=(--only "HF best on CUDA" --only "HF best on CUDA, no dropout")
bench train 50 --rounds "$rounds" --only lora-bert "${hf[@]}"
bench predict 60 --rounds "$rounds" --only "lora-bert torch merged bfloat16" \
  --only "lora-bert torch base + adapter bfloat16" --only "transformers bfloat16" \
  --only "transformers bfloat16, batches of 256"
shapes=()
for shape in "32 x 128" "256 x 128" "64 x 512" "8 x 128"; do
  shapes+=(--only "lora-bert, $shape" --only "HF, $shape")
done
bench mfu 60 --rounds 1 "${shapes[@]}"
bench exactness 40
bench run 50 --rows 1600 --rounds 1 --only "lora-bert, defaults" "${hf[@]}"
bench train 40 --data 20newsgroups --rounds 1 --only lora-bert "${hf[@]}"
# Last, because compiling takes long, and of rows of many lengths longest; the records go on.
bench mfu 60 --resume --rounds 1 --only "HF compiled, 32 x 128"
bench train 100 --resume --rounds 1 --only "HF best on CUDA, no dropout, compiled"
"$python" -m benchmarks.summary "$results" | tee -a "$log" || exit
! grep -q FAILED "$stages"
