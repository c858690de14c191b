#!/usr/bin/env bash
# A Slurm of one node in a Debian machine or container, as root, without systemd, cgroups or accounting.
#   slurm.sh start    install what is missing, write the configuration, start munged, slurmctld and slurmd
#   slurm.sh stop     cancel all jobs, wait until the queue is empty, end the three daemons by their process ids
# `debug` and `high` are partitions of the same node; `high` preempts `debug`: SIGTERM, SIGKILL after the grace time,
# and a requeue. Two made-up GPUs are granted with CUDA_VISIBLE_DEVICES; there is nothing behind them.
# A configuration that this script did not write is left alone: start then refuses.
set -euo pipefail
CONF=/etc/slurm/slurm.conf
MARK="# written by lth's tests"
CPUS=4
HOST=$(hostname -s)

alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

install_missing() {
    command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null && return
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # No daemon is to start by itself while the packages are set up.
    local policy=/usr/sbin/policy-rc.d
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy; }
    apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge >/dev/null
    grep -q 'exit 101' $policy && rm -f $policy
}

configure() {
    if [ -s $CONF ] && ! grep -q "$MARK" $CONF && grep -q . $CONF; then
        echo "$CONF is there already: run this on a machine, or in a container, without a Slurm of its own" >&2
        exit 1
    fi
    local memory
    memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.8)}' /proc/meminfo)
    grep -qE "^[0-9.]+.*\b$HOST\b" /etc/hosts || echo "127.0.0.1 $HOST" >>/etc/hosts
    [ -s /etc/munge/munge.key ] || (umask 077 && dd if=/dev/urandom of=/etc/munge/munge.key bs=1 count=1024 status=none)
    chown munge:munge /etc/munge/munge.key && chmod 400 /etc/munge/munge.key
    install -d -m 755 /var/spool/slurmctld /var/spool/slurmd /var/log/slurm /etc/slurm
    for i in 0 1; do [ -e /dev/lthgpu$i ] || mknod /dev/lthgpu$i c 1 3; done
    cat >$CONF <<END
$MARK
ClusterName=lab
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
MinJobAge=3600
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=$CPUS RealMemory=$memory Gres=gpu:2 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=10
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
END
    echo "NodeName=$HOST Name=gpu File=/dev/lthgpu[0-1]" >/etc/slurm/gres.conf
}

start() {
    install_missing
    configure
    install -d -o munge -g munge -m 755 /run/munge
    install -d -o munge -g munge -m 700 /var/lib/munge /var/log/munge
    alive /run/munge/munged.pid || su -s /bin/sh munge -c /usr/sbin/munged
    alive /run/slurmctld.pid || slurmctld
    alive /run/slurmd.pid || slurmd
    for _ in $(seq 60); do
        case $(sinfo -h -o %T -p debug 2>/dev/null) in
            idle | mixed | allocated) return ;;
            down* | drain*) scontrol update nodename="$HOST" state=resume ;;
        esac
        sleep 0.5
    done
    echo "Slurm did not come up; see /var/log/slurm" >&2
    exit 1
}

stop() {
    if alive /run/slurmctld.pid; then
        scancel --user="$(id -un)" 2>/dev/null || true
        for _ in $(seq 60); do [ -z "$(squeue -h 2>/dev/null)" ] && break; sleep 0.5; done
    fi
    for file in /run/slurmd.pid /run/slurmctld.pid /run/munge/munged.pid; do
        if alive "$file"; then
            pid=$(cat "$file")
            kill "$pid"
            for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || break; sleep 0.25; done
            kill -9 "$pid" 2>/dev/null || true
        fi
        rm -f "$file"
    done
}

case ${1:-} in
    start | stop) "$1" ;;
    *) sed -n 2,7p "$0"; exit 2 ;;
esac
