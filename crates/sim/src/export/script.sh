#!/usr/bin/env bash
# A run of Vivarium's lab (engine ENGINE, seed SEED), done to a cluster of Apache Kafka on this machine.
#
#   KAFKA_HOME=/opt/kafka bash run.sh
#
# Needs bash 4.1 and Apache Kafka 4.3 or newer. The cluster listens on 127.0.0.1 from BASE_PORT (19092) on; all it writes is in a new
# folder of its own, named at the end. Time is the lab's: what Kafka's tools take to start comes on top, and no two runs are alike.
set -u
: "${KAFKA_HOME:?set it to where Apache Kafka is}"
base=${BASE_PORT:-19092}
dir=$(mktemp -d "${TMPDIR:-/tmp}/vivarium-run.XXXXXX")
declare -A pids=() pipes=() loads=() files=() ports=()
voters= servers= uuid=

# The name of a file of somebody's: any name is one.
file() { [ -n "${files[$1]:-}" ] || files[$1]="$dir/${#files[@]}-${1//[^A-Za-z0-9_.-]/_}"; }
tool() { # NAME ARGUMENTS…
  local name=$1; shift
  case $name in delete-records|leader-election|topics|configs|reassign-partitions) set -- --bootstrap-server "$servers" "$@" ;; esac
  "$KAFKA_HOME/bin/kafka-$name.sh" "$@"
}
node() { # NAME ID ROLES DISKS SETTINGS…
  local name=$1 id=$2 roles=$3 disks=$4 port=$((base + 10 * ${#ports[@]})) listeners= dirs= disk; shift 4
  ports[$name]=$port; file "$name"
  for ((disk = 0; disk < disks; disk++)); do dirs+=${dirs:+,}${files[$name]}.data.$disk; done
  case $roles in *broker*) listeners=PLAINTEXT://127.0.0.1:$port servers+=${servers:+,}127.0.0.1:$port ;; esac
  case $roles in *controller*) listeners+=${listeners:+,}CONTROLLER://127.0.0.1:$((port + 1)) voters+=${voters:+,}$id@127.0.0.1:$((port + 1)) ;; esac
  printf '%s\n' "process.roles=$roles" "node.id=$id" "listeners=$listeners" controller.listener.names=CONTROLLER \
    "log.dirs=$dirs" offsets.topic.replication.factor=1 transaction.state.log.replication.factor=1 \
    transaction.state.log.min.isr=1 group.initial.rebalance.delay.ms=0 "$@" >"${files[$name]}.properties"
}
form() { # Formats and starts all nodes, and waits until they answer.
  local name
  uuid=$(tool storage random-uuid | tail -n 1)
  for name in "${!ports[@]}"; do
    echo "controller.quorum.voters=$voters" >>"${files[$name]}.properties"
    format "$name" && start "$name"
  done
  until tool topics --list >/dev/null 2>&1; do sleep 1; done
}
format() { tool storage format --cluster-id "$uuid" --config "${files[$1]}.properties" --ignore-formatted >>"${files[$1]}.out" 2>&1; }
start() { # NODE
  (exec "$KAFKA_HOME/bin/kafka-server-start.sh" "${files[$1]}.properties" >>"${files[$1]}.out" 2>&1) &
  pids[$1]=$!
}
signal() { # SIGNAL NAME
  [ -z "${pids[$2]:-}" ] && return
  # Several words: a client may have a process a topic.
  kill "$1" ${pids[$2]} 2>/dev/null
  case $1 in -KILL|-TERM) wait ${pids[$2]} 2>/dev/null; pids[$2]=; unload "$2"; forget "$2" ;; esac
}
wipe() { rm -rf "${files[$1]:?}".data.*; format "$1"; }
client() { # NAME SETTINGS…
  local name=$1; shift
  file "$name"; printf '%s\n' "$@" >"${files[$name]}.properties"
}
# One console producer for each producer and topic, fed by a pipe that stays open: it has one producer id, as in the run.
feed() { # PRODUCER TOPIC
  local pipe fd
  [ -n "${pipes[$1 $2]:-}" ] && return
  pipe="$dir/pipe-$RANDOM$RANDOM"; mkfifo "$pipe"; exec {fd}<>"$pipe"
  (exec "$KAFKA_HOME/bin/kafka-console-producer.sh" --bootstrap-server "$servers" --topic "$2" --command-config "${files[$1]}.properties" \
    --reader-property parse.key=true --reader-property key.separator=$'\t' --reader-property 'null.marker=\null' <"$pipe" >>"${files[$1]}.out" 2>&1) &
  pids[$1]="${pids[$1]:-} $!"; pipes[$1 $2]=$fd
}
forget() { local it; for it in "${!pipes[@]}"; do case $it in "$1 "*) unset 'pipes[$it]' ;; esac; done; }
produce() { feed "$1" "$2"; printf '%s\t%s\n' "$3" "$4" >&"${pipes[$1 $2]}"; } # PRODUCER TOPIC KEY VALUE
load() { # PRODUCER TOPIC SECONDS KEYS SIZE COUNT
  unload "$1"; feed "$1" "$2"
  local fd=${pipes[$1 $2]}
  (
    number=0
    while [ "$6" = all ] || [ "$number" -lt "$6" ]; do
      key='\null'; [ "$4" -gt 0 ] && key=k$((RANDOM % $4))
      printf "%s\t%-$5s\n" "$key" "$1-$number" >&"$fd"
      number=$((number + 1)); sleep "$3"
    done
  ) &
  loads[$1]=$!
}
unload() { [ -z "${loads[$1]:-}" ] && return; kill "${loads[$1]}" 2>/dev/null; loads[$1]=; }
consume() { # CONSUMER ARGUMENTS…
  local name=$1; shift
  (exec "$KAFKA_HOME/bin/kafka-console-consumer.sh" --bootstrap-server "$servers" --command-config "${files[$name]}.properties" \
    --formatter-property print.partition=true --formatter-property print.offset=true --formatter-property print.key=true "$@" \
    >>"${files[$name]}.out" 2>&1) &
  pids[$name]="${pids[$name]:-} $!"
}
stop_client() { [ -z "${pids[$1]:-}" ] && return; unload "$1"; kill -TERM ${pids[$1]} 2>/dev/null; pids[$1]=; forget "$1"; }
plan() { printf '%s\n' "$1" >"$dir/plan.json"; }
finish() { local it; for it in "${!loads[@]}"; do unload "$it"; done; for it in "${pids[@]}"; do kill -KILL $it 2>/dev/null; done; }
# A child that a signal ends before it has dropped this trap runs it too, and what it knows of is not its own.
trap '[[ $BASHPID != "$$" ]] || finish' EXIT

