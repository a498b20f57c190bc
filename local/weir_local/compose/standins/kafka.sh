#!/bin/sh
# As the official image: KAFKA_LOG_DIRS becomes log.dirs, and so on; the log directory is formatted at the first start.
set -eu
config=/tmp/server.properties
env | sed -n 's/^KAFKA_//p' | grep -v -e '^HEAP_OPTS=' | while IFS='=' read -r name value; do
  echo "$(echo "$name" | tr 'A-Z_' 'a-z.')=$value"
done >"$config"
java=/opt/java/bin/java
[ -e "$KAFKA_LOG_DIRS/meta.properties" ] || $java -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format -t "$($java -cp '/opt/kafka/libs/*' kafka.tools.StorageTool random-uuid | tail -1)" -c "$config"
# shellcheck disable=SC2086 - arguments
exec $java ${KAFKA_HEAP_OPTS:-} -cp '/opt/kafka/libs/*' kafka.Kafka "$config"
