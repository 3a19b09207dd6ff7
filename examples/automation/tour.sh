#!/bin/sh
# The same as automation.ts, from a shell: any tool that speaks gRPC and has the .proto files can take the place of
# call.ts. With grpcurl:
#
#   grpcurl -import-path proto -proto swarm/v1/control.proto -cacert ca.pem -cert cert.pem -key key.pem \
#     -authority swarm-manager -d '{}' MANAGER:2377 swarm.v1.ControlService/ListNodes
#
# usage: tour.sh BUNDLE [IMAGE]
set -eu
bundle=$1
image=${2:-busybox:latest}
name=tour-$$
node=${NODE:-node}
here=$(dirname "$0")

call() { "$node" "$here/call.ts" "$bundle" "$@"; }

echo "nodes:"
call ControlService/ListNodes

echo "create:"
call ControlService/CreateService "{\"spec\": {\"name\": \"$name\", \"replicated\": {\"replicas\": 1},
  \"task\": {\"container\": {\"image\": \"$image\", \"args\": [\"sleep\", \"1000\"]}}}}" >/dev/null
trap 'call ControlService/RemoveService "{\"reference\": \"$name\"}" >/dev/null' EXIT

tries=0
until call ControlService/ListTasks "{\"names\": [\"$name\"]}" | grep -q '"state":"TASK_STATE_RUNNING"'; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { echo "its task does not run" >&2; exit 1; }
  sleep 1
done
echo "its task runs"

echo "events:"
call EventService/ListEvents "{\"subjects\": [\"$name\"]}"
