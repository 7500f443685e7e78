#!/bin/bash
# An array job: each task computes one shard of a run and puts it into a data set on a shared disk.
#   sbatch slurm.sh                 the whole run
#   sbatch --array=3,17 slurm.sh    shards that ducklens gather says are missing
# SHARDS is the number of shards of the run. It is not taken from the array, because an array may rerun only some shards.
#SBATCH --job-name=ducklens
#SBATCH --array=0-63
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=ducklens-%A-%a.log
set -euo pipefail

SHARDS=${SHARDS:-64}
MODEL=${MODEL:-gpt2}
HEAD=${HEAD:-10.7}
PROMPTS=${PROMPTS:-100000}
DATA=${DATA:-runs}

exec ducklens ingest --model "$MODEL" --head "$HEAD" -n "$PROMPTS" --seed 1 --threads "${SLURM_CPUS_PER_TASK:-4}" \
  --shard "$SLURM_ARRAY_TASK_ID/$SHARDS" --parquet "$DATA"
