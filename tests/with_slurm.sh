#!/usr/bin/env bash
# Runs a command with a Slurm of its own: one node, this machine, for as long as the command lasts.
#     tests/with_slurm.sh COMMAND [ARGUMENT...]
# For root on Debian, who may install slurm-wlm and munge. All files of the daemons are in a
# temporary folder; a Slurm that is there already is left alone.
set -euo pipefail

for program in slurmctld slurmd sbatch munged; do
    if ! command -v $program >/dev/null; then
        apt-get update
        apt-get install --yes --no-install-recommends slurm-wlm munge
    fi
done

folder=$(mktemp --directory /tmp/slurm.XXXXXX)
chmod 755 "$folder"  # munged wants everyone to reach its socket
mkdir "$folder/state" "$folder/spool"
started=()
stop() {
    scancel --full --user="$(id --user --name)" || true
    for ((i = ${#started[@]} - 1; i >= 0; i--)); do
        kill "${started[i]}" || true
        wait "${started[i]}" || true
    done
    rm -rf "$folder"
}

# Prints the number of a port that nobody listens at.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'
}

head --bytes=1024 /dev/urandom >"$folder/munge.key"
chmod 400 "$folder/munge.key"
node=$(hostname --short)
export SLURM_CONF="$folder/slurm.conf"
cat >"$SLURM_CONF" <<CONFIGURATION
ClusterName=test
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
# No cgroups and no accounts: neither is to be had in a container.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
# Four jobs at a time, whatever the machine has.
SlurmdParameters=config_overrides
NodeName=$node NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONFIGURATION

trap stop EXIT
munged --foreground --socket="$folder/munge.socket" --key-file="$folder/munge.key" \
    --pid-file="$folder/munged.pid" --seed-file="$folder/munged.seed" \
    &>"$folder/munged.log" &
started+=($!)
slurmctld -D &>"$folder/slurmctld.log" &
started+=($!)
slurmd -D &>"$folder/slurmd.log" &
started+=($!)

for _ in $(seq 30); do
    [[ $(sinfo --noheader --format=%T 2>/dev/null) == idle ]] && break
    sleep 1
done
if [[ $(sinfo --noheader --format=%T) != idle ]]; then
    tail "$folder"/*.log
    exit 1
fi
"$@"
